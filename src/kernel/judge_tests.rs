//! What each kernelspec is found to be, and which are mended.

use super::judge::{Mending, Verdict, judge, mending};
use super::kernelspec::KernelSpec;
use super::seen::{MarkedRoot, Place, Program, Seen};

const PLAIN: &str = r#"{"argv": ["/e/bin/python", "-m", "ipykernel_launcher"]}"#;
const MARKED: &str = r#"{"argv": ["/r/gen/lab-1/bin/python"], "metadata": {"envspec":
    {"version": 1, "environment": "lab", "kernel": "python", "generation": "lab-1", "root": "/r"}}}"#;
const WRAPPED: &str = r#"{"argv": ["/b/bin/conda", "run", "-n", "x", "python"]}"#;

/// Changes one thing of a good kernelspec.
type Change = fn(&mut Seen);

/// A good one in the user's folder.
fn seen(text: &str) -> Seen {
    Seen {
        name: "k".to_owned(),
        path: "/h/kernels/k".to_owned(),
        place: Place::User,
        is_link: false,
        content: Ok(KernelSpec::parse(text).unwrap()),
        program: Some(Program::Runs("/e/bin/python".to_owned())),
        in_prefix: None,
        lost: Vec::new(),
        prefix_lacks_it: false,
        root: MarkedRoot::There,
        shadowed_by: None,
        shadows: Vec::new(),
        can_change: true,
    }
}

fn missing() -> Program {
    Program::Missing("/gone/bin/python".to_owned())
}

fn no_module() -> Program {
    Program::NoModule {
        python: "/e/bin/python".to_owned(),
        module: "ipykernel_launcher".to_owned(),
    }
}

fn no_interpreter() -> Program {
    Program::NoInterpreter {
        script: "/e/bin/k".to_owned(),
        interpreter: "/gone/python".to_owned(),
    }
}

/// The prefix of what it lacks is there.
fn lack(seen: &mut Seen, program: Program) {
    seen.program = Some(program);
    seen.prefix_lacks_it = true;
}

fn bare(is_servers: bool) -> Program {
    Program::Bare {
        word: "python".to_owned(),
        now: Some("/usr/bin/python".to_owned()),
        is_servers,
    }
}

fn other() -> String {
    "/other/k".to_owned()
}

/// Changes one thing of a good kernelspec and judges.
fn verdicts(text: &str, change: impl FnOnce(&mut Seen)) -> (Vec<Verdict>, Option<Mending>) {
    let mut seen = seen(text);
    change(&mut seen);
    let faults = judge(&seen);
    for fault in &faults {
        assert!(
            !fault.found.is_empty() && !fault.remedy.is_empty(),
            "{fault:?}"
        );
    }
    (
        faults.iter().map(|fault| fault.verdict).collect(),
        mending(&seen, false),
    )
}

#[test]
fn each_fault_has_its_verdict_and_a_good_one_none() {
    use Verdict::{Bare, Broken, Dead, Env, Name, Shadowed, Wrapper};
    let table: [(&[Verdict], &str, Change); 13] = [
        (&[], PLAIN, |_| {}),
        (&[], MARKED, |_| {}),
        (&[Broken], PLAIN, |seen| {
            seen.content = Err("not JSON".to_owned());
        }),
        (&[Dead], PLAIN, |seen| seen.program = Some(missing())),
        (&[Dead], MARKED, |seen| seen.program = Some(missing())),
        (&[Dead], PLAIN, |seen| seen.program = Some(no_module())),
        (&[Bare], PLAIN, |seen| seen.program = Some(bare(true))),
        (&[Wrapper], WRAPPED, |_| {}),
        // What a bare `conda` is does not matter any more.
        (&[Wrapper], WRAPPED, |seen| seen.program = Some(bare(false))),
        (&[Dead, Wrapper], WRAPPED, |seen| {
            seen.program = Some(missing());
        }),
        (&[Env], PLAIN, |seen| seen.lost = vec!["/gone".to_owned()]),
        (&[Name], PLAIN, |seen| seen.name = "my kernel".to_owned()),
        (&[Bare, Shadowed], PLAIN, |seen| {
            seen.program = Some(bare(true));
            seen.shadowed_by = Some(other());
        }),
    ];
    for (wanted, text, change) in table {
        assert_eq!(verdicts(text, change).0, wanted, "{text}");
    }
}

#[test]
fn what_is_mended_is_what_needs_no_guess() {
    let aside = Some(Mending::MoveAside);
    let written = Some(Mending::Absolute("/e/bin/python".to_owned()));
    let table: [(Option<Mending>, Change); 20] = [
        (None, |_| {}),
        // Both may be there on another machine that has this home.
        (None, |seen| seen.program = Some(missing())),
        (None, |seen| seen.program = Some(no_interpreter())),
        // Its prefix is there without it, or it hides one that runs.
        (aside.clone(), |seen| lack(seen, missing())),
        (aside.clone(), |seen| lack(seen, no_interpreter())),
        (aside.clone(), |seen| {
            seen.program = Some(missing());
            seen.shadows = vec![other()];
        }),
        // A package's, and the administrator's.
        (None, |seen| {
            lack(seen, missing());
            seen.place = Place::Prefix("/e".to_owned());
        }),
        (None, |seen| {
            lack(seen, missing());
            seen.place = Place::System;
        }),
        (aside.clone(), |seen| {
            lack(seen, missing());
            seen.place = Place::Given;
        }),
        (None, |seen| {
            lack(seen, missing());
            seen.can_change = false;
        }),
        // It may be there tomorrow.
        (None, |seen| {
            seen.shadows = vec![other()];
            seen.program = Some(Program::Unseen {
                program: "/net/bin/python".to_owned(),
                reason: "Stale file handle".to_owned(),
            });
        }),
        // Only in the way of another one.
        (None, |seen| seen.program = Some(no_module())),
        (aside.clone(), |seen| {
            seen.program = Some(no_module());
            seen.shadows = vec![other()];
        }),
        (None, |seen| seen.content = Err("not JSON".to_owned())),
        (aside, |seen| {
            seen.content = Err("not JSON".to_owned());
            seen.shadows = vec![other()];
        }),
        // Alive, so nobody knows which of the two is meant.
        (None, |seen| seen.shadows = vec![other()]),
        (None, |seen| seen.program = Some(bare(true))),
        (written, |seen| {
            seen.program = Some(bare(true));
            seen.in_prefix = Some("/e/bin/python".to_owned());
        }),
        (None, |seen| {
            seen.program = Some(bare(true));
            seen.in_prefix = Some("/e/bin/python".to_owned());
            seen.is_link = true;
        }),
        (None, |seen| {
            seen.program = Some(bare(true));
            seen.in_prefix = Some("/e/bin/python".to_owned());
            seen.place = Place::Generation("lab".to_owned());
        }),
    ];
    for (at, (wanted, change)) in table.into_iter().enumerate() {
        assert_eq!(verdicts(PLAIN, change).1, wanted, "row {at}");
    }
    assert_eq!(
        verdicts(MARKED, |seen| seen.program = Some(missing())).1,
        None
    );
    // The conda that wraps it is gone; the kernel itself can be adopted, if it is there.
    let lost_conda = |seen: &mut Seen| lack(seen, missing());
    assert_eq!(verdicts(WRAPPED, lost_conda).1, Some(Mending::MoveAside));
    for program in [bare(false), missing()] {
        let kernel_is_there = |seen: &mut Seen| {
            lack(seen, program);
            seen.in_prefix = Some("/b/envs/x/bin/python".to_owned());
        };
        assert_eq!(verdicts(WRAPPED, kernel_is_there).1, None);
    }
}

#[test]
fn who_names_a_dead_kernelspec_knows_that_it_is_of_no_use_anywhere() {
    let unseen = || Program::Unseen {
        program: "/net/bin/python".to_owned(),
        reason: "Stale file handle".to_owned(),
    };
    let named = |change: &dyn Fn(&mut Seen)| {
        let mut seen = seen(PLAIN);
        change(&mut seen);
        mending(&seen, true)
    };
    for program in [missing(), no_interpreter(), no_module(), unseen()] {
        let dead = |seen: &mut Seen| seen.program = Some(program.clone());
        assert_eq!(named(&dead), Some(Mending::MoveAside), "{program:?}");
        let theirs = |seen: &mut Seen| {
            dead(seen);
            seen.can_change = false;
        };
        assert_eq!(named(&theirs), None);
        let packages = |seen: &mut Seen| {
            dead(seen);
            seen.place = Place::Generation("lab".to_owned());
        };
        assert_eq!(named(&packages), None);
    }
    let broken = |seen: &mut Seen| seen.content = Err("not JSON".to_owned());
    assert_eq!(named(&broken), Some(Mending::MoveAside));
    assert_eq!(named(&|_| {}), None);
}

#[test]
fn of_envspecs_own_only_what_a_root_left_that_is_not_seen_is_moved_and_only_by_name() {
    let table = [
        (MarkedRoot::There, [None, None]),
        (MarkedRoot::Unseen, [None, Some(Mending::MoveAside)]),
    ];
    for (root, [by_itself, named]) in table {
        // One from a Nix store can still have its program.
        for program in [missing(), Program::Runs("/nix/store/x/bin/k".to_owned())] {
            let mut seen = seen(MARKED);
            seen.program = Some(program);
            seen.root = root;
            assert_eq!(mending(&seen, false), by_itself, "{root:?}");
            assert_eq!(mending(&seen, true), named, "{root:?}");
            seen.place = Place::Generation("lab".to_owned());
            assert_eq!(mending(&seen, true), None);
        }
    }
    let runs = |seen: &mut Seen| seen.root = MarkedRoot::Unseen;
    assert_eq!(verdicts(MARKED, runs).0, [Verdict::Dead]);
}

/// What is said of a kernelspec with one thing changed.
fn said(text: &str, change: impl FnOnce(&mut Seen)) -> String {
    let mut seen = seen(text);
    change(&mut seen);
    let faults = judge(&seen).into_iter();
    let said = faults.map(|fault| [fault.found, fault.remedy].join(" -> "));
    said.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fault_names_what_it_is_about_and_who_can_do_something() {
    let text = said(MARKED, |seen| seen.program = Some(missing()));
    for word in ["/gone/bin/python", "lab-1", "apply lab", "--root", "/r"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let text = said(MARKED, |seen| {
        seen.program = Some(missing());
        seen.root = MarkedRoot::Unseen;
    });
    assert!(
        text.contains("mounted") && text.contains("--repair k"),
        "{text}"
    );
    let text = said(PLAIN, |seen| seen.program = Some(missing()));
    assert!(
        text.contains("another machine") && text.contains("--repair k`"),
        "{text}"
    );
    let text = said(PLAIN, |seen| {
        seen.program = Some(missing());
        seen.name = "k; reboot".to_owned();
    });
    assert!(text.contains("--repair NAME`"), "{text}");
    let text = said(PLAIN, |seen| seen.shadowed_by = Some(other()));
    assert!(text.contains("/other/k is found first"), "{text}");
    let text = said(PLAIN, |seen| seen.program = Some(bare(true)));
    assert!(
        text.contains("server's own") && text.contains("/usr/bin/python"),
        "{text}"
    );
    let text = said(PLAIN, |seen| seen.program = Some(bare(false)));
    assert!(
        text.contains("server's PATH") && text.contains("/usr/bin/python"),
        "{text}"
    );
    let text = said(PLAIN, |seen| {
        seen.program = Some(missing());
        seen.can_change = false;
    });
    assert!(text.contains("you can't change /h/kernels/k"), "{text}");
    assert!(!text.contains("--repair"), "{text}");
    let text = said(PLAIN, |seen| {
        seen.program = Some(bare(true));
        seen.place = Place::Generation("lab".to_owned());
        seen.can_change = false;
    });
    assert!(text.contains("the spec of lab"), "{text}");
    let text = said(WRAPPED, |seen| {
        seen.in_prefix = Some("/b/envs/x/bin/python".to_owned());
    });
    assert!(
        text.contains("interrupts") && text.contains("--adopt k"),
        "{text}"
    );
    // Without its environment it could not be adopted.
    let text = said(WRAPPED, |_| {});
    assert!(
        text.contains("not there") && !text.contains("--adopt"),
        "{text}"
    );
}
