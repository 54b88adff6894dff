//! Bugs that can be switched on, one at a time, to show that the checks find them.
//!
//! They exist only in a build that explores schedules (see `sync.rs`); in all others the question whether one is on is
//! a constant no.

/// A mistake that is easily made in a registry.
#[cfg_attr(not(shuttle), expect(unreachable_pub, reason = "seen from outside only where schedules are explored"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeededBug {
    /// A registration is removed whatever its incarnation.
    RemovalIgnoresIncarnation,
    /// A registration whose mailbox was found closed is removed by its name.
    ClosedRemovesByName,
    /// A registration that a sweep found dead is removed by its name.
    SweepRemovesByName,
    /// A transport that is about to be bound is looked at, let go of, and then entered into its server's index.
    BindChecksThenWrites,
    /// A transport is let into the group of a server that has ended meanwhile.
    BindJoinsTheDead,
    /// The death of a transport leaves it in its server's index.
    DeathForgetsReverseIndex,
    /// The death of a server leaves its transports bound.
    DeathForgetsBindings,
    /// A transport whose registration failed stays in the group that it was to be born in.
    FailedBirthStaysBound,
    /// A death is told before the name is free.
    DeathToldTooEarly,
    /// A broadcast goes to whoever was in the group when it began.
    BroadcastAsksNobody,
    /// A route that is remembered is taken although its binding has ended.
    RememberedRouteAsksNobody,
    /// A message that waited for room is delivered although its receiver's registration has ended.
    WaiterIgnoresTheEnd,
    /// Those who wait for room are not told that the registration has ended.
    EndIsNotTold,
}

impl SeededBug {
    /// All of them.
    #[cfg(shuttle)]
    pub const ALL: [Self; 13] = [
        Self::RemovalIgnoresIncarnation,
        Self::ClosedRemovesByName,
        Self::SweepRemovesByName,
        Self::BindChecksThenWrites,
        Self::BindJoinsTheDead,
        Self::DeathForgetsReverseIndex,
        Self::DeathForgetsBindings,
        Self::FailedBirthStaysBound,
        Self::DeathToldTooEarly,
        Self::BroadcastAsksNobody,
        Self::RememberedRouteAsksNobody,
        Self::WaiterIgnoresTheEnd,
        Self::EndIsNotTold,
    ];

    /// Switches this bug on, and any other off, in the whole process.
    #[cfg(shuttle)]
    pub fn switch_on(self) {
        SWITCHED_ON.store(self as usize, Ordering::SeqCst);
    }

    /// Switches all bugs off.
    #[cfg(shuttle)]
    pub fn switch_all_off() {
        SWITCHED_ON.store(NONE, Ordering::SeqCst);
    }

    #[cfg(shuttle)]
    pub(crate) fn is_on(self) -> bool {
        SWITCHED_ON.load(Ordering::SeqCst) == self as usize
    }

    #[cfg(not(shuttle))]
    #[inline(always)]
    pub(crate) const fn is_on(self) -> bool {
        false
    }
}

// Plain atomics: the setting is no part of what is explored.
#[cfg(shuttle)]
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(shuttle)]
const NONE: usize = usize::MAX;

#[cfg(shuttle)]
static SWITCHED_ON: AtomicUsize = AtomicUsize::new(NONE);
