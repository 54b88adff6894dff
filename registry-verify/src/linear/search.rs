//! The search for an order of instants: depth first, never twice through the same situation.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

use super::{History, Specification, Step, Timed};

/// How a search ended.
pub(super) enum Outcome<State> {
    /// An order was found.
    Explained,
    /// There is none.
    Stuck(Stuck<State>),
    /// There were too many situations.
    GivenUp {
        /// So many were visited.
        visited: usize,
    },
}

/// The situation in which most calls were done.
pub(super) struct Stuck<State> {
    /// How many calls of each thread were done.
    pub(super) done: Vec<usize>,
    /// The calls that were done, in the order in which they were: thread, and number within the thread.
    pub(super) order: Vec<(usize, usize)>,
    pub(super) state: State,
}

pub(super) fn search<S: Specification>(
    specification: &S,
    initial: &S::State,
    history: &History<S::Call>,
    most: usize,
) -> Outcome<S::State> {
    let mut search =
        Search { specification, history, visited: HashSet::default(), trail: Vec::new(), steps: Vec::new() };
    let start = Situation { threads: vec![(0, S::Progress::default()); history.len()], state: initial.clone() };
    let calls: usize = history.iter().map(Vec::len).sum();
    let mut best: Option<(Rc<Situation<S>>, Trail)> = None;
    let mut ahead = vec![(start, START)];
    while let Some((mut situation, trail)) = ahead.pop() {
        let trail = search.look_around(&mut situation, trail);
        let done = situation.done();
        if done == calls {
            return Outcome::Explained;
        }
        let situation = Rc::new(situation);
        if !search.visited.insert(Rc::clone(&situation)) {
            continue;
        }
        if search.visited.len() > most {
            return Outcome::GivenUp { visited: most };
        }
        if best.as_ref().is_none_or(|(best, _)| best.done() < done) {
            best = Some((Rc::clone(&situation), trail));
        }
        search.go_on(&situation, trail, &mut ahead);
    }
    let (situation, trail) = best.unwrap_or_else(|| unreachable!("the start is a situation"));
    Outcome::Stuck(Stuck {
        done: situation.threads.iter().map(|(done, _)| *done).collect(),
        order: search.order(trail),
        state: situation.state.clone(),
    })
}

/// Where all threads are, and what the object is.
struct Situation<S: Specification> {
    /// Of each thread: how many of its calls are done, and how far the next one has come.
    threads: Vec<(usize, S::Progress)>,
    state: S::State,
}

/// The number of an entry in the trail.
type Trail = usize;

const START: Trail = usize::MAX;

struct Search<'a, S: Specification> {
    specification: &'a S,
    history: &'a History<S::Call>,
    visited: HashSet<Rc<Situation<S>>, BuildHasherDefault<Mix>>,
    /// Calls that were done: thread and number, and the entry of the one before.
    trail: Vec<(usize, usize, Trail)>,
    /// Kept for its room.
    steps: Vec<(S::State, Step<S::Progress>)>,
}

impl<'a, S: Specification> Search<'a, S> {
    /// Takes all steps of calls that only look, until there are none left.
    fn look_around(&mut self, situation: &mut Situation<S>, mut trail: Trail) -> Trail {
        loop {
            let mut looked = false;
            for thread in 0..situation.threads.len() {
                while let Some(next) = self.next(situation, thread)
                    && self.specification.only_looks(&next.call)
                {
                    let (number, progress) = &situation.threads[thread];
                    let number = *number;
                    self.steps.clear();
                    self.specification.steps(&situation.state, &next.call, progress, &mut self.steps);
                    // Done is better than going on.
                    let done = self.steps.iter().any(|(_, step)| matches!(step, Step::Done));
                    if done {
                        situation.threads[thread] = (number + 1, S::Progress::default());
                        self.trail.push((thread, number, trail));
                        trail = self.trail.len() - 1;
                    } else if let Some((_, Step::Going(progress))) = self.steps.pop() {
                        situation.threads[thread].1 = progress;
                    } else {
                        break;
                    }
                    looked = true;
                }
            }
            if !looked {
                return trail;
            }
        }
    }

    /// Puts all situations that are one step further on the stack; the most promising is on top.
    fn go_on(&mut self, situation: &Rc<Situation<S>>, trail: Trail, ahead: &mut Vec<(Situation<S>, Trail)>) {
        let mut able: Vec<(u64, usize)> = Vec::with_capacity(situation.threads.len());
        for thread in 0..situation.threads.len() {
            able.extend(self.next(situation, thread).map(|next| (next.ended, thread)));
        }
        // Most calls took effect in the order in which they ended.
        able.sort_unstable_by(|a, b| b.cmp(a));
        for (_, thread) in able {
            let (number, progress) = &situation.threads[thread];
            let call = &self.history[thread][*number].call;
            if self.specification.only_looks(call) {
                continue;
            }
            self.steps.clear();
            self.specification.steps(&situation.state, call, progress, &mut self.steps);
            for (state, step) in self.steps.drain(..).rev() {
                let mut threads = situation.threads.clone();
                let trail = match step {
                    Step::Going(progress) => {
                        threads[thread].1 = progress;
                        trail
                    }
                    Step::Done => {
                        threads[thread] = (number + 1, S::Progress::default());
                        self.trail.push((thread, *number, trail));
                        self.trail.len() - 1
                    }
                };
                ahead.push((Situation { threads, state }, trail));
            }
        }
    }

    /// The call that a thread has come to, if all calls are done that ended before it began.
    fn next(&self, situation: &Situation<S>, thread: usize) -> Option<&'a Timed<S::Call>> {
        let history = self.history;
        let pending = |thread: usize| history[thread].get(situation.threads[thread].0);
        let next = pending(thread)?;
        let waits = (0..situation.threads.len()).filter_map(pending).any(|other| other.ended < next.began);
        (!waits).then_some(next)
    }

    fn order(&self, mut trail: Trail) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        while let Some((thread, number, before)) = self.trail.get(trail) {
            order.push((*thread, *number));
            trail = *before;
        }
        order.reverse();
        order
    }
}

impl<S: Specification> Situation<S> {
    fn done(&self) -> usize {
        self.threads.iter().map(|(done, _)| done).sum()
    }
}

impl<S: Specification> PartialEq for Situation<S> {
    fn eq(&self, other: &Self) -> bool {
        self.threads == other.threads && self.state == other.state
    }
}

impl<S: Specification> Eq for Situation<S> {}

impl<S: Specification> Hash for Situation<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.threads.hash(hasher);
        self.state.hash(hasher);
    }
}

/// A hasher that is quick with few small numbers, which is what situations are made of; nobody outside chooses them.
#[derive(Default)]
struct Mix(u64);

impl Mix {
    fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut number = [0; 8];
            number[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(number));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
