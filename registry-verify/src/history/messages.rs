//! Checks that every message is exactly where it was reported to be: once, in order, and with its sender.

use registry_core::{Backend, Probe};

use super::client::{Client, Record, Response, sender_of};
use super::mailbox_factory::{MailboxFactory, Rejections};
use super::owned_registration::OwnedRegistration;
use super::program::Op;
use crate::spec::{Name, Owner, Routed, Side};

/// The contents of all inboxes.
pub(super) struct Messages {
    /// Message, sender id, receiver name, and receiving owner.
    found: Vec<(u64, u8, Name, Owner)>,
}

impl Messages {
    /// Collects the messages of all inboxes, which must have been read.
    ///
    /// # Errors
    ///
    /// Returns an error if a message is in an inbox twice, or behind a later one of the same thread.
    pub(super) fn of<'a, X: MailboxFactory>(
        registrations: impl Iterator<Item = (Owner, &'a OwnedRegistration<X>)>,
    ) -> Result<Self, String> {
        let mut found = Vec::new();
        for (owner, registration) in registrations {
            for (index, &(from, message)) in registration.read.iter().enumerate() {
                let earlier = &registration.read[..index];
                let is_late =
                    earlier.iter().any(|(_, other)| sender_of(*other) == sender_of(message) && *other >= message);
                if is_late {
                    return Err(format!("messages of {owner} are out of order or duplicated: {:?}", registration.read));
                }
                found.push((message, from, registration.name, owner));
            }
        }
        Ok(Self { found })
    }

    /// Returns the receivers of a message.
    pub(super) fn receivers(&self, message: u64) -> impl Iterator<Item = (Name, Owner)> {
        self.found.iter().filter(move |found| found.0 == message).map(|&(_, _, name, owner)| (name, owner))
    }

    /// Compares the reported results of all sends with the contents of the inboxes.
    ///
    /// # Errors
    ///
    /// Returns an error if they differ.
    pub(super) fn compare<B: Backend, X: MailboxFactory, P: Probe>(
        &self,
        clients: &[Client<B, X, P>],
    ) -> Result<(), String> {
        let mut delivered = 0;
        let mut reported = Rejections::default();
        for record in clients.iter().flat_map(|client| &client.records) {
            delivered += self.compare_one(record)?;
            match &record.response {
                Response::Routed(Routed::Full(_)) => reported.full += 1,
                Response::Routed(Routed::Closed(_)) => reported.closed += 1,
                Response::Report(_, _, full, closed) => {
                    reported.full += full.len();
                    reported.closed += closed.len();
                }
                _ => {}
            }
        }
        if delivered != self.found.len() {
            return Err(format!(
                "{} messages were reported as delivered, {} are in inboxes",
                delivered,
                self.found.len()
            ));
        }
        // The mailbox of a failed registration has rejected nothing.
        let counted = clients
            .iter()
            .flat_map(|client| &client.registrations)
            .map(OwnedRegistration::rejections)
            .sum::<Option<Rejections>>();
        match counted {
            Some(counted) if counted != reported => {
                Err(format!("mailboxes counted {counted:?}, the registry reported {reported:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the number of inboxes that contain the message of a call.
    fn compare_one(&self, record: &Record) -> Result<usize, String> {
        let (from, expected) = match (record.op, &record.response) {
            (Op::Route(_, from), Response::Routed(Routed::Delivered(_))) => (from, 1),
            (Op::Route(_, from), _) => (from, 0),
            (Op::Broadcast(server), Response::Report(_, delivered, _, _)) => (server.id, *delivered),
            _ => return Ok(0),
        };
        let receivers = self.found.iter().filter(|found| found.0 == record.message);
        let mut count = 0;
        for &(message, by, name, owner) in receivers {
            count += 1;
            let is_intended = match record.op {
                Op::Route(to, _) => to == name,
                _ => name.side == Side::Transport,
            };
            if !is_intended || by != from {
                return Err(format!(
                    "message {message} of {:?} is in the inbox of {owner}, {name}, from {by}",
                    record.op
                ));
            }
        }
        if count != expected {
            let Record { message, op, response, .. } = record;
            return Err(format!("message {message} of {op:?} is in {count} inboxes, the response was {response:?}"));
        }
        Ok(count)
    }
}

impl std::iter::Sum for Rejections {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self { full: sum.full + one.full, closed: sum.closed + one.closed })
    }
}
