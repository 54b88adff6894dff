//! A probe and mailboxes that inject delays: they spin or yield for a short random time inside the registry's
//! operations, to provoke interleavings that are otherwise rare.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{fmt, hint, thread};

use registry_core::{Event, Mailbox, MailboxFamily, Operation, Probe, ShardStats, TrySendError};

use super::mailbox_factory::{MailboxFactory, Receiver, Rejections};

/// A probe that delays every callback and records nothing.
#[derive(Clone, Copy, Debug)]
pub struct DelayInjectingProbe;

/// A family of mailboxes that delay every call of the registry.
#[derive(Clone, Copy, Debug)]
pub struct DelayInjectingMailboxes;

/// Both ends of a delay-injecting mailbox.
pub struct DelayInjectingMailbox<T>(Arc<Mutex<Queue<T>>>);

struct Queue<T> {
    items: Vec<T>,
    capacity: usize,
    closed: bool,
    rejections: Rejections,
}

/// Mostly returns at once, sometimes spins for a few hundred nanoseconds, and rarely yields.
///
/// Uses the thread-local generator, which the caller may seed for the same sequence of delays.
fn inject_delay() {
    match fastrand::u8(..) {
        0..=191 => {}
        192..=247 => (0..fastrand::u8(..64)).for_each(|_| hint::spin_loop()),
        248..=253 => (0..fastrand::u16(..1024)).for_each(|_| hint::spin_loop()),
        254.. => thread::yield_now(),
    }
}

impl Probe for DelayInjectingProbe {
    fn lookup(&self, _shard: usize) -> bool {
        inject_delay();
        false
    }

    fn event(&self, _shard: usize, _event: Event) {
        inject_delay();
    }

    fn times_writes(&self) -> bool {
        inject_delay();
        false
    }

    fn record_latency(&self, _shard: usize, _operation: Operation, _began: Instant, _ended: Instant) {}

    fn stats(&self, shard: usize, _now: Instant) -> ShardStats {
        let mut stats = ShardStats::default();
        stats.shard = shard;
        stats
    }

    fn reset(&self) {}
}

impl MailboxFamily for DelayInjectingMailboxes {
    type Mailbox<T: Send + 'static> = DelayInjectingMailbox<T>;
}

impl MailboxFactory for DelayInjectingMailboxes {
    type Inbox<T: Send + 'static> = DelayInjectingMailbox<T>;

    fn mailbox<T: Send + 'static>(capacity: usize) -> (Self::Mailbox<T>, Self::Inbox<T>) {
        let queue = Queue { items: Vec::new(), capacity, closed: false, rejections: Rejections::default() };
        let mailbox = DelayInjectingMailbox(Arc::new(Mutex::new(queue)));
        (mailbox.clone(), mailbox)
    }
}

impl<T: Send + 'static> Mailbox<T> for DelayInjectingMailbox<T> {
    fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        inject_delay();
        let mut queue = self.queue();
        let outcome = if queue.closed {
            queue.rejections.closed += 1;
            Err(TrySendError::Closed(item))
        } else if queue.items.len() == queue.capacity {
            queue.rejections.full += 1;
            Err(TrySendError::Full(item))
        } else {
            queue.items.push(item);
            Ok(())
        };
        drop(queue);
        inject_delay();
        outcome
    }

    fn is_closed(&self) -> bool {
        inject_delay();
        let closed = self.queue().closed;
        inject_delay();
        closed
    }
}

impl<T: Send> Receiver<T> for DelayInjectingMailbox<T> {
    fn close(&mut self) {
        self.queue().closed = true;
    }

    fn drain(&mut self) -> Vec<T> {
        self.queue().items.drain(..).collect()
    }

    fn rejections(&self) -> Option<Rejections> {
        Some(self.queue().rejections)
    }
}

impl<T> DelayInjectingMailbox<T> {
    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        // No operation panics while it holds the lock, so the queue is consistent even if poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for DelayInjectingMailbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for DelayInjectingMailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayInjectingMailbox").finish_non_exhaustive()
    }
}
