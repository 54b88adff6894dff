//! What is dropped on a thread while it publishes, kept until it has unlocked what it holds.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// Something of whatever type, only to be dropped.
pub(super) type Item = Box<dyn Send>;

thread_local! {
    // Without a destructor, so that it can be used in those of others. It is empty whenever nobody publishes.
    static BIN: ManuallyDrop<RefCell<Option<Vec<Item>>>> = const { ManuallyDrop::new(RefCell::new(None)) };
}

/// The current thread's bin, open until this is dropped.
pub(super) struct Open {
    /// The bin of whoever publishes around this, if keys do that when they are cloned.
    outer: Option<Vec<Item>>,
    closed: bool,
}

pub(super) fn open() -> Open {
    Open { outer: BIN.with(|bin| bin.replace(Some(Vec::new()))), closed: false }
}

/// Keeps something while the bin is open, and drops it otherwise.
pub(super) fn put(something: Option<impl Send + 'static>) {
    let Some(something) = something else { return };
    BIN.with(|bin| match &mut *bin.borrow_mut() {
        Some(items) => {
            items.push(Box::new(something));
            None
        }
        None => Some(something),
    });
}

impl Open {
    /// What has been put in.
    pub(super) fn close(mut self) -> Vec<Item> {
        self.restore()
    }

    fn restore(&mut self) -> Vec<Item> {
        self.closed = true;
        BIN.with(|bin| bin.replace(self.outer.take())).unwrap_or_default()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.closed {
            drop(self.restore());
        }
    }
}
