//! The search for a linearization: depth first, with memoization of visited configurations.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::rc::Rc;

use super::{History, Specification, Step, Timed};

/// The result of a search.
pub(super) enum Outcome<State> {
    /// A linearization was found.
    Explained,
    /// There is no linearization.
    DeadEnd(DeadEnd<State>),
    /// The limit was reached.
    LimitReached {
        /// The number of visited configurations.
        visited: usize,
    },
}

/// The configuration in which most calls had completed.
pub(super) struct DeadEnd<State> {
    /// The number of completed calls of each thread.
    pub(super) done: Vec<usize>,
    /// The completed calls in linearization order: thread, and index within the thread.
    pub(super) order: Vec<(usize, usize)>,
    pub(super) state: State,
}

pub(super) fn search<S: Specification>(
    specification: &S,
    initial: &S::State,
    history: &History<S::Call>,
    max_configurations: usize,
) -> Outcome<S::State> {
    let mut search =
        Search { specification, history, visited: HashSet::default(), path: Vec::new(), steps: Vec::new() };
    let start = Configuration { threads: vec![(0, S::Progress::default()); history.len()], state: initial.clone() };
    let calls: usize = history.iter().map(Vec::len).sum();
    let mut best: Option<(Rc<Configuration<S>>, PathIndex)> = None;
    let mut stack = vec![(start, START)];
    while let Some((mut configuration, path)) = stack.pop() {
        let path = search.take_read_steps(&mut configuration, path);
        let done = configuration.done();
        if done == calls {
            return Outcome::Explained;
        }
        let configuration = Rc::new(configuration);
        if !search.visited.insert(Rc::clone(&configuration)) {
            continue;
        }
        if search.visited.len() > max_configurations {
            return Outcome::LimitReached { visited: max_configurations };
        }
        if best.as_ref().is_none_or(|(best, _)| best.done() < done) {
            best = Some((Rc::clone(&configuration), path));
        }
        search.expand(&configuration, path, &mut stack);
    }
    let (configuration, path) = best.unwrap_or_else(|| unreachable!("the initial configuration is visited"));
    Outcome::DeadEnd(DeadEnd {
        done: configuration.threads.iter().map(|(done, _)| *done).collect(),
        order: search.order(path),
        state: configuration.state.clone(),
    })
}

/// The progress of all threads, and the state of the object.
struct Configuration<S: Specification> {
    /// For each thread, the number of completed calls and the progress of the next one.
    threads: Vec<(usize, S::Progress)>,
    state: S::State,
}

/// An index into the path.
type PathIndex = usize;

const START: PathIndex = usize::MAX;

struct Search<'a, S: Specification> {
    specification: &'a S,
    history: &'a History<S::Call>,
    visited: HashSet<Rc<Configuration<S>>, BuildHasherDefault<MixHasher>>,
    /// Completed calls: thread, index within the thread, and the path entry of the previous call.
    path: Vec<(usize, usize, PathIndex)>,
    /// Reused to avoid allocation.
    steps: Vec<(S::State, Step<S::Progress>)>,
}

impl<'a, S: Specification> Search<'a, S> {
    /// Takes all enabled steps of read-only calls.
    fn take_read_steps(&mut self, configuration: &mut Configuration<S>, mut path: PathIndex) -> PathIndex {
        loop {
            let mut stepped = false;
            for thread in 0..configuration.threads.len() {
                while let Some(next) = self.next(configuration, thread)
                    && self.specification.is_read_only(&next.call)
                {
                    let (number, progress) = &configuration.threads[thread];
                    let number = *number;
                    self.steps.clear();
                    self.specification.steps(&configuration.state, &next.call, progress, &mut self.steps);
                    // Completing is preferred to continuing.
                    let done = self.steps.iter().any(|(_, step)| matches!(step, Step::Done));
                    if done {
                        configuration.threads[thread] = (number + 1, S::Progress::default());
                        self.path.push((thread, number, path));
                        path = self.path.len() - 1;
                    } else if let Some((_, Step::Continue(progress))) = self.steps.pop() {
                        configuration.threads[thread].1 = progress;
                    } else {
                        break;
                    }
                    stepped = true;
                }
            }
            if !stepped {
                return path;
            }
        }
    }

    /// Pushes all successor configurations onto the stack, the most promising one last.
    fn expand(
        &mut self,
        configuration: &Rc<Configuration<S>>,
        path: PathIndex,
        stack: &mut Vec<(Configuration<S>, PathIndex)>,
    ) {
        let mut enabled: Vec<(u64, usize)> = Vec::with_capacity(configuration.threads.len());
        for thread in 0..configuration.threads.len() {
            enabled.extend(self.next(configuration, thread).map(|next| (next.ended, thread)));
        }
        // Most calls take effect in the order in which they end.
        enabled.sort_unstable_by(|a, b| b.cmp(a));
        for (_, thread) in enabled {
            let (number, progress) = &configuration.threads[thread];
            let call = &self.history[thread][*number].call;
            if self.specification.is_read_only(call) {
                continue;
            }
            self.steps.clear();
            self.specification.steps(&configuration.state, call, progress, &mut self.steps);
            for (state, step) in self.steps.drain(..).rev() {
                let mut threads = configuration.threads.clone();
                let path = match step {
                    Step::Continue(progress) => {
                        threads[thread].1 = progress;
                        path
                    }
                    Step::Done => {
                        threads[thread] = (number + 1, S::Progress::default());
                        self.path.push((thread, *number, path));
                        self.path.len() - 1
                    }
                };
                stack.push((Configuration { threads, state }, path));
            }
        }
    }

    /// Returns the next call of a thread, unless a pending call ended before that call began.
    fn next(&self, configuration: &Configuration<S>, thread: usize) -> Option<&'a Timed<S::Call>> {
        let history = self.history;
        let pending = |thread: usize| history[thread].get(configuration.threads[thread].0);
        let next = pending(thread)?;
        let is_blocked = (0..configuration.threads.len()).filter_map(pending).any(|other| other.ended < next.began);
        (!is_blocked).then_some(next)
    }

    fn order(&self, mut path: PathIndex) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        while let Some((thread, number, before)) = self.path.get(path) {
            order.push((*thread, *number));
            path = *before;
        }
        order.reverse();
        order
    }
}

impl<S: Specification> Configuration<S> {
    fn done(&self) -> usize {
        self.threads.iter().map(|(done, _)| done).sum()
    }
}

impl<S: Specification> PartialEq for Configuration<S> {
    fn eq(&self, other: &Self) -> bool {
        self.threads == other.threads && self.state == other.state
    }
}

impl<S: Specification> Eq for Configuration<S> {}

impl<S: Specification> Hash for Configuration<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.threads.hash(hasher);
        self.state.hash(hasher);
    }
}

/// A fast hasher for the small integers of configurations. Its input is not adversarial.
#[derive(Default)]
struct MixHasher(u64);

impl MixHasher {
    fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for MixHasher {
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
