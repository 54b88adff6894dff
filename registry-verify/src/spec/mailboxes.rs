//! The contents of the mailboxes, where they are tracked.
//!
//! Only a sequence tracks them. In a history the order in which an owner reads and others send is unknown, so an open
//! mailbox may accept or refuse a message; where each one arrived is checked when the history is complete.

use std::collections::VecDeque;
use std::rc::Rc;

use super::name::{Message, Name, Owner};

/// The mailbox of every owner, by number, if they are tracked. Shared between states until one is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mailboxes(Option<Rc<Vec<Mailbox>>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mailbox {
    capacity: usize,
    /// Sender and message.
    messages: VecDeque<(Name, Message)>,
}

impl Mailboxes {
    pub(super) fn tracked() -> Self {
        Self(Some(Rc::default()))
    }

    /// Adds the empty mailbox of an owner.
    pub(super) fn add(&mut self, owner: Owner, capacity: usize) {
        if let Some(mailboxes) = &mut self.0 {
            let mailboxes = Rc::make_mut(mailboxes);
            mailboxes.resize_with(mailboxes.len().max(owner.index() + 1), Mailbox::default);
            mailboxes[owner.index()].capacity = capacity;
        }
    }

    /// Returns whether the mailbox, which is open, may accept a message now.
    pub(super) fn may_accept(&self, owner: Owner) -> bool {
        self.get(owner).is_none_or(|mailbox| mailbox.messages.len() < mailbox.capacity)
    }

    /// Returns whether the mailbox, which is open, may refuse a message now.
    pub(super) fn may_refuse(&self, owner: Owner) -> bool {
        self.get(owner).is_none_or(|mailbox| mailbox.messages.len() >= mailbox.capacity)
    }

    pub(super) fn push(&mut self, owner: Owner, from: Name, message: Message) {
        if let Some(mailboxes) = &mut self.0 {
            Rc::make_mut(mailboxes)[owner.index()].messages.push_back((from, message));
        }
    }

    /// Returns whether the mailbox may contain exactly these messages.
    pub(super) fn may_contain(&self, owner: Owner, read: &[(Name, Message)]) -> bool {
        self.get(owner).is_none_or(|mailbox| mailbox.messages.iter().eq(read))
    }

    /// Returns whether the mailbox may contain this number of messages.
    pub(super) fn may_hold(&self, owner: Owner, messages: usize) -> bool {
        self.get(owner).is_none_or(|mailbox| mailbox.messages.len() == messages)
    }

    pub(super) fn clear(&mut self, owner: Owner) {
        if let Some(mailboxes) = &mut self.0 {
            Rc::make_mut(mailboxes)[owner.index()].messages.clear();
        }
    }

    /// Describes each mailbox that contains messages.
    pub(super) fn describe(&self) -> impl Iterator<Item = String> {
        let all = self.0.iter().flat_map(|mailboxes| mailboxes.iter().enumerate());
        all.filter(|(_, mailbox)| !mailbox.messages.is_empty()).map(|(owner, Mailbox { capacity, messages })| {
            let messages: Vec<String> =
                messages.iter().map(|(from, message)| format!("{message} from {from}")).collect();
            format!("#{owner} has {} (capacity {capacity})", messages.join(", "))
        })
    }

    fn get(&self, owner: Owner) -> Option<&Mailbox> {
        self.0.as_ref().map(|mailboxes| &mailboxes[owner.index()])
    }
}
