//! The end of the main thread, which no test runs on: a process of its own for each backend, whose exit is looked at.
//!
//! A program without a harness, because a harness runs its tests on other threads. It answers what runners of tests ask.

use std::cell::RefCell;
use std::env;
use std::process::{Command, ExitCode};

use registry_core::Backend;
use registry_router::backends::{Visitor, for_each};
use registry_router::{Registry, ServerLease, mailbox};

const NAME: &str = "the_main_thread_may_end_with_leases";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |argument: &str| arguments.iter().any(|given| given == argument);
    match arguments.iter().position(|argument| argument == "--child") {
        Some(at) => for_each(&mut Child { backend: &arguments[at + 1], kept_first: has("kept-first") }),
        None if has("--list") => {
            if !has("--ignored") {
                print_line(&format!("{NAME}: test"));
            }
        }
        None => the_main_thread_may_end_with_leases(),
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "it is what the runner reads")]
fn print_line(line: &str) {
    println!("{line}");
}

fn the_main_thread_may_end_with_leases() {
    for_each(&mut Parent);
}

/// Starts a child for each backend.
struct Parent;

impl Visitor for Parent {
    fn visit<B: Backend>(&mut self) {
        for order in ["kept-first", "kept-last"] {
            let this = env::current_exe().expect("it is a file");
            let output = Command::new(this).args(["--child", B::NAME, order]).output().expect("it can be started");
            let said = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}, {order}: {}\n{errors}", B::NAME, output.status);
            assert_eq!(said.trim(), "0 left", "{}, {order}\n{errors}", B::NAME);
        }
    }
}

/// Keeps a lease and its registry until the main thread ends.
struct Child<'a> {
    backend: &'a str,
    kept_first: bool,
}

/// Ends a registration, and tells how many are left.
struct Tell(Option<Box<dyn Fn() -> usize>>, Option<ServerLease>);

impl Drop for Tell {
    fn drop(&mut self) {
        drop(self.1.take());
        if let Some(left) = self.0.take() {
            print_line(&format!("{} left", left()));
        }
    }
}

thread_local! {
    static KEPT: RefCell<Tell> = const { RefCell::new(Tell(None, None)) };
}

impl Visitor for Child<'_> {
    fn visit<B: Backend>(&mut self) {
        if B::NAME != self.backend {
            return;
        }
        if self.kept_first {
            KEPT.with_borrow_mut(|_| ());
        }
        let registry: Registry<u64, B> = Registry::builder().build().expect("the settings are valid");
        let lease = registry.register_server("s", mailbox(1).0, ()).expect("the name is free");
        KEPT.with_borrow_mut(|kept| *kept = Tell(Some(Box::new(move || registry.server_count())), Some(lease)));
    }
}
