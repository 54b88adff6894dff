//! The ids of a run and their order, drawn once from a seed, and the same for every peer.
//!
//! A peer that takes names in another form than ids gets them converted beforehand, and one in another language reads
//! them from a file, so that no timed loop converts or draws anything.

use std::fmt::Write;

use registry_bench::fixture::{Counts, Fixture};
use registry_bench::timed_loop::{ABSENT_IDS, Keys, Step};

/// The number of copies of the hot id, so that the cost of wrapping around is negligible.
const HOT: usize = 64;

/// The number of steps of the mix of each thread, which are repeated.
const STEPS: usize = 1 << 16;

/// The greatest number of transports; one for every ten servers below that.
const MOST_TRANSPORTS: usize = 10_000;

/// The ids of a run in the form that a peer takes: servers as `S`, transports as `T`.
#[derive(Clone, Debug, PartialEq)]
pub struct Names<S, T> {
    /// Servers that are registered beforehand.
    pub servers: Vec<S>,
    /// The same in random order.
    pub order: Vec<S>,
    /// Copies of the first server.
    pub hot: Vec<S>,
    /// Transports that are registered beforehand.
    pub transports: Vec<T>,
    /// For each thread, ids that only it registers.
    pub absent_ids: Vec<Vec<S>>,
    /// For each thread, the steps of the mix.
    pub steps: Vec<Vec<Step<S, T>>>,
}

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The number of servers registered beforehand.
    pub entries: usize,
    /// The number of threads.
    pub threads: usize,
}

impl Size {
    /// Makes the ids and mailboxes of a run.
    ///
    /// # Panics
    ///
    /// If the number of entries is zero.
    #[must_use]
    pub fn fixture(self, seed: u64, most_inboxes: usize) -> Fixture {
        let counts = Counts {
            servers: self.entries,
            absent_ids: self.threads * ABSENT_IDS,
            claims: 0,
            transports: (self.entries / 10).clamp(1, MOST_TRANSPORTS),
        };
        Fixture::with_inboxes(counts, seed, most_inboxes)
    }
}

impl<S, T> Names<S, T> {
    /// Returns the keys of the n-th thread.
    #[must_use]
    pub fn keys(&self, thread: usize) -> Keys<'_, S, T> {
        Keys { order: &self.order, hot: &self.hot, absent_ids: &self.absent_ids[thread], steps: &self.steps[thread] }
    }
}

impl Names<String, String> {
    /// Returns the names of a fixture, as text.
    #[must_use]
    pub fn of(fixture: &Fixture, threads: usize, seed: u64) -> Self {
        let texts = |ids: &[registry_router::ServerId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let servers = texts(&fixture.servers);
        let transports: Vec<String> = fixture.transports.iter().map(ToString::to_string).collect();
        let absent_ids: Vec<Vec<String>> = fixture.absent_ids.chunks(ABSENT_IDS).map(texts).collect();
        let steps = (0..threads)
            .map(|thread| {
                let mut rng = fastrand::Rng::with_seed(seed ^ (thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                (0..STEPS).map(|_| step(&mut rng, &servers, &transports, &absent_ids[thread])).collect()
            })
            .collect();
        let hot = vec![servers[0].clone(); HOT];
        Self { order: texts(&fixture.order), hot, servers, transports, absent_ids, steps }
    }

    /// Converts all names.
    #[must_use]
    pub fn map<S, T>(&self, server: impl Fn(&str) -> S, transport: impl Fn(&str) -> T) -> Names<S, T> {
        let servers = |texts: &[String]| texts.iter().map(|text| server(text)).collect::<Vec<S>>();
        let step = |step: &Step<String, String>| match step {
            Step::Lookup(id) => Step::Lookup(server(id)),
            Step::Route(id) => Step::Route(server(id)),
            Step::Register(id) => Step::Register(server(id)),
            Step::Bind(id, to) => Step::Bind(transport(id), server(to)),
        };
        Names {
            servers: servers(&self.servers),
            order: servers(&self.order),
            hot: servers(&self.hot),
            transports: self.transports.iter().map(|text| transport(text)).collect(),
            absent_ids: self.absent_ids.iter().map(|ids| servers(ids)).collect(),
            steps: self.steps.iter().map(|steps| steps.iter().map(step).collect()).collect(),
        }
    }

    /// Returns the names as lines of words for programs in other languages: the kind, the thread if it is of one, and
    /// the ids. Servers and transports come first.
    #[must_use]
    pub fn lines(&self) -> String {
        let mut lines = String::new();
        // Writing to a string cannot fail.
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = writeln!(lines, "{words}");
        };
        self.servers.iter().for_each(|id| line(format_args!("server {id}")));
        self.transports.iter().for_each(|id| line(format_args!("transport {id}")));
        self.order.iter().for_each(|id| line(format_args!("order {id}")));
        for (thread, ids) in self.absent_ids.iter().enumerate() {
            ids.iter().for_each(|id| line(format_args!("absent {thread} {id}")));
        }
        for (thread, steps) in self.steps.iter().enumerate() {
            for step in steps {
                match step {
                    Step::Lookup(id) => line(format_args!("lookup {thread} {id}")),
                    Step::Route(id) => line(format_args!("route {thread} {id}")),
                    Step::Register(id) => line(format_args!("register {thread} {id}")),
                    Step::Bind(id, to) => line(format_args!("bind {thread} {id} {to}")),
                }
            }
        }
        lines
    }
}

fn step(
    rng: &mut fastrand::Rng,
    servers: &[String],
    transports: &[String],
    absent_ids: &[String],
) -> Step<String, String> {
    let mut any = |ids: &[String]| ids[rng.usize(..ids.len())].clone();
    let server = any(servers);
    let transport = any(transports);
    let stranger = any(absent_ids);
    match rng.u8(..100) {
        0..40 => Step::Lookup(server),
        40..70 => Step::Route(server),
        70..90 => Step::Register(stranger),
        _ => Step::Bind(transport, server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(seed: u64) -> Names<String, String> {
        let size = Size { entries: 50, threads: 2 };
        Names::of(&size.fixture(seed, 1), size.threads, seed)
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
        assert_eq!((names(1).absent_ids.len(), names(1).steps.len(), names(1).transports.len()), (2, 2, 5));
    }

    #[test]
    fn the_mix_has_its_shares() {
        let names = names(7);
        assert_ne!(names.steps[0], names.steps[1]);
        for steps in &names.steps {
            let share = |wanted: fn(&Step<String, String>) -> bool| {
                100.0 * steps.iter().filter(|step| wanted(step)).count() as f64 / steps.len() as f64
            };
            let shares = [
                share(|step| matches!(step, Step::Lookup(_))),
                share(|step| matches!(step, Step::Route(_))),
                share(|step| matches!(step, Step::Register(_))),
                share(|step| matches!(step, Step::Bind(..))),
            ];
            for (share, wanted) in shares.into_iter().zip([40.0, 30.0, 20.0, 10.0]) {
                assert!((share - wanted).abs() < 1.0, "{shares:?}");
            }
        }
    }

    #[test]
    fn threads_register_separate_ids() {
        let names = names(3);
        assert!(names.absent_ids[0].iter().all(|id| !names.absent_ids[1].contains(id)));
        for (steps, own) in names.steps.iter().zip(&names.absent_ids) {
            assert!(steps.iter().all(|step| !matches!(step, Step::Register(id) if !own.contains(id))));
        }
    }

    #[test]
    fn a_file_has_all_names() {
        let names = names(1);
        let lines = names.lines();
        let count = |word: &str| lines.lines().filter(|line| line.split(' ').next() == Some(word)).count();
        assert_eq!((count("server"), count("order"), count("transport")), (50, 50, 5));
        assert_eq!(count("absent"), 2 * ABSENT_IDS);
        assert_eq!(count("lookup") + count("route") + count("register") + count("bind"), 2 * STEPS);
        assert!(lines.starts_with(&format!("server {}\n", names.servers[0])), "{}", &lines[..100]);
    }
}
