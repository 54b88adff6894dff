//! Whether the receivers of mailboxes are gone: a bit for each, all side by side.
//!
//! Every lookup asks that. Asking the channel is following a pointer to a line that nothing else has brought near, which
//! among many mailboxes is the dearest step of the whole lookup; the bits of half a million of them lie in 64 KiB.
//!
//! A mailbox has a *slot*, taken when it is made and given back when both ends are gone, the sending one with all of its
//! clones. So a bit that is set stays set for as long as anybody can ask. Slots are the process's, not a registry's: a
//! mailbox is made before it is registered, and may be registered twice.
//!
//! There are as many slots as bits in 2 MiB of memory that is zero from the start, of which the system provides what is
//! used. Beside its bit a slot takes 8 bytes, in blocks that are never freed; both for the most mailboxes that there ever
//! were at one time. Whoever comes when all slots are taken asks the channel.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A share in the slot of a mailbox: each end has one, and each clone of the sending end.
#[derive(Debug)]
pub(super) struct ClosedFlag {
    slot: u32,
}

/// Sixteen million.
const SLOTS: u32 = 1 << 24;

/// Who has no slot asks the channel.
const NO_SLOT: u32 = u32::MAX;

/// Whether the receiver is gone, for each slot.
static OVER: [AtomicU64; SLOTS as usize / 64] = [const { AtomicU64::new(0) }; SLOTS as usize / 64];

/// How many shares there are in each slot, in blocks of so many. Apart from the bits, for these change while mailboxes are
/// cloned.
static SHARES: [OnceLock<Box<[AtomicU64]>>; SLOTS as usize / BLOCK] =
    [const { OnceLock::new() }; SLOTS as usize / BLOCK];

const BLOCK: usize = 1 << 12;

static FREE: Mutex<Free> = Mutex::new(Free { given_back: Vec::new(), fresh: 0 });

/// The slots that nobody has.
struct Free {
    given_back: Vec<u32>,
    /// Slots from here on have never been taken.
    fresh: u32,
}

impl ClosedFlag {
    /// A share in a slot that nobody has, whose receiver is there.
    pub(super) fn begin() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = free.given_back.pop().unwrap_or_else(|| {
            let fresh = free.fresh;
            free.fresh = SLOTS.min(fresh + 1);
            if fresh < SLOTS { fresh } else { NO_SLOT }
        });
        drop(free);
        let closed_flag = Self { slot };
        if let Some(shares) = closed_flag.shares() {
            shares.store(1, Ordering::Relaxed);
        }
        closed_flag
    }

    /// Of a channel whose receiver does not tell.
    pub(super) fn untold() -> Self {
        Self { slot: NO_SLOT }
    }

    /// Whether the receiver is gone; `None` if it does not tell.
    #[inline]
    pub(super) fn is_over(&self) -> Option<bool> {
        if self.slot == NO_SLOT {
            return None;
        }
        Some(self.word().load(Ordering::Acquire) & self.bit() != 0)
    }

    /// Says that the receiver is gone: whoever asks after this has returned hears so.
    pub(super) fn end(&self) {
        if self.slot != NO_SLOT {
            self.word().fetch_or(self.bit(), Ordering::Release);
        }
    }

    #[inline]
    fn word(&self) -> &'static AtomicU64 {
        // The remainder changes nothing, and spares the check of a bound.
        &OVER[self.slot as usize / 64 % OVER.len()]
    }

    #[inline]
    fn bit(&self) -> u64 {
        1 << (self.slot % 64)
    }

    fn shares(&self) -> Option<&'static AtomicU64> {
        if self.slot == NO_SLOT {
            return None;
        }
        let slot = self.slot as usize;
        let block =
            SHARES[slot / BLOCK].get_or_init(|| std::iter::repeat_with(AtomicU64::default).take(BLOCK).collect());
        Some(&block[slot % BLOCK])
    }
}

impl Clone for ClosedFlag {
    fn clone(&self) -> Self {
        if let Some(shares) = self.shares() {
            // As in `Arc`: whoever clones has a share, so the slot cannot be given back meanwhile.
            shares.fetch_add(1, Ordering::Relaxed);
        }
        Self { slot: self.slot }
    }
}

impl Drop for ClosedFlag {
    fn drop(&mut self) {
        if self.shares().is_none_or(|shares| shares.fetch_sub(1, Ordering::Release) > 1) {
            return;
        }
        // What the others did with their shares happened before the slot is somebody else's.
        fence(Ordering::Acquire);
        self.word().fetch_and(!self.bit(), Ordering::Relaxed);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).given_back.push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn an_end_is_told_to_all_clones_and_to_nobody_else() {
        let (ours, other) = (ClosedFlag::begin(), ClosedFlag::begin());
        let clone = ours.clone();
        assert_eq!([ours.is_over(), clone.is_over(), other.is_over()], [Some(false); 3]);
        ours.end();
        drop(ours);
        assert_eq!((clone.is_over(), other.is_over()), (Some(true), Some(false)));
        assert_eq!(ClosedFlag::untold().is_over(), None);
    }

    #[test]
    fn a_slot_is_taken_again_only_when_the_last_share_is_gone() {
        let kept = ClosedFlag::begin();
        kept.end();
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let closed_flag = ClosedFlag::begin();
            assert_ne!(closed_flag.slot, kept.slot);
            assert_eq!(closed_flag.is_over(), Some(false), "a new one begins alive");
            closed_flag.end();
            seen.insert(closed_flag.slot);
        }
        assert_eq!(kept.is_over(), Some(true));
        // Other tests of this process take slots too.
        assert!(seen.len() < 1_000, "{} slots for 10,000 mailboxes, one after the other", seen.len());
    }

    #[test]
    fn threads_that_share_and_end_do_not_disturb_each_other() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let closed_flag = ClosedFlag::begin();
                        let clones = [closed_flag.clone(), closed_flag.clone()];
                        assert_eq!(closed_flag.is_over(), Some(false));
                        closed_flag.end();
                        drop(closed_flag);
                        assert!(clones.iter().all(|clone| clone.is_over() == Some(true)));
                    }
                });
            }
        });
    }
}
