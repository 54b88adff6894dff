//! Deferred drop: keeps what evmap drops during a publish until the writer has released its lock.

use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// A value of any type, kept only to be dropped.
pub(super) type Item = Box<dyn Send>;

thread_local! {
    // Without a destructor, so that it can be used in the destructors of other thread-locals. It is empty except while
    // the thread publishes.
    static DEFERRED: ManuallyDrop<RefCell<Option<Vec<Item>>>> = const { ManuallyDrop::new(RefCell::new(None)) };
}

/// A scope in which drops on the current thread are deferred. It ends when this is dropped.
pub(super) struct Scope {
    /// The items of the enclosing scope, if the clone of a key publishes.
    outer: Option<Vec<Item>>,
    finished: bool,
}

/// Starts to defer drops on the current thread.
pub(super) fn scope() -> Scope {
    Scope { outer: DEFERRED.with(|items| items.replace(Some(Vec::new()))), finished: false }
}

/// Keeps a value for the current scope, or drops it if there is none.
pub(super) fn defer(value: Option<impl Send + 'static>) {
    let Some(value) = value else { return };
    DEFERRED.with(|items| match &mut *items.borrow_mut() {
        Some(items) => {
            items.push(Box::new(value));
            None
        }
        None => Some(value),
    });
}

impl Scope {
    /// Ends the scope and returns the deferred values.
    pub(super) fn finish(mut self) -> Vec<Item> {
        self.restore()
    }

    fn restore(&mut self) -> Vec<Item> {
        self.finished = true;
        DEFERRED.with(|items| items.replace(self.outer.take())).unwrap_or_default()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if !self.finished {
            drop(self.restore());
        }
    }
}
