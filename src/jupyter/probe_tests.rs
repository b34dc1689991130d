//! What a test of a kernel finds out, on kernels that misbehave in every way.

use super::fake_kernel;
use super::place::{Home, scrubbed_environment};
use super::probe::{Ending, KernelTest, KernelTestRequest, Limits, Step, test_kernel};
use crate::kernel::{Interrupt, KernelSpec, Smoke};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Tests the fake kernel; gives the outcome and the folder that it used.
async fn fake(behaviour: &str, interrupt_mode: &str) -> KernelTest {
    let seconds = Duration::from_secs;
    let limits = Limits {
        start: seconds(if behaviour == "never listens" { 1 } else { 20 }),
        execute: seconds(20),
        interrupt: seconds(if behaviour == "is deaf" { 1 } else { 20 }),
        shutdown: seconds(if behaviour == "stays whatever comes" {
            1
        } else {
            20
        }),
    };
    test_kernel(&KernelTestRequest {
        kernelspec: &fake_kernel::kernelspec(behaviour, interrupt_mode),
        resource_dir: Path::new("/nowhere"),
        cells: Some((
            &Smoke {
                code: "6*7".to_owned(),
                expect: "42".to_owned(),
            },
            &Interrupt::Cell("sleep".to_owned()),
        )),
        environment: &scrubbed_environment(|_| None),
        home: &Home::Private,
        limits,
    })
    .await
}

/// The step that failed, and the failure as text.
fn failure(test: &KernelTest) -> (Step, String) {
    let (step, failure) = test.failure().expect("it fails");
    assert!(!test.passed());
    (step, failure.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_kernel_passes_every_step_by_signal_and_by_message() {
    for mode in ["signal", "message"] {
        let test = fake("is good", mode).await;
        assert!(test.passed(), "{test:#?}");
        let steps: Vec<Step> = test.steps.iter().map(|outcome| outcome.step).collect();
        let all = [
            Step::Start,
            Step::Execute,
            Step::Interrupt,
            Step::Again,
            Step::Shutdown,
        ];
        assert_eq!(steps, all);
        assert_eq!(test.implementation.as_deref(), Some("fake 1"));
        assert!(test.log.contains("fake kernel: is good"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_without_cells_is_started_and_ended() {
    let test = test_kernel(&KernelTestRequest {
        kernelspec: &fake_kernel::kernelspec("is good", "signal"),
        resource_dir: Path::new("/nowhere"),
        cells: None,
        environment: &scrubbed_environment(|_| None),
        home: &Home::Private,
        limits: Limits::default(),
    })
    .await;
    assert!(test.passed(), "{test:#?}");
    let steps: Vec<Step> = test.steps.iter().map(|outcome| outcome.step).collect();
    assert_eq!(steps, [Step::Start, Step::Shutdown]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_only_a_signal_ends_is_ended_as_jupyter_does() {
    let test = fake("stays", "signal").await;
    assert!(test.passed(), "{test:#?}");
    assert_eq!(test.ending, Some(Ending::Sigterm));
    assert_eq!(
        fake("is good", "signal").await.ending,
        Some(Ending::Request)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_that_empties_its_queue_after_an_interrupt_is_asked_again() {
    for behaviour in ["aborts what comes next", "aborts in its own word"] {
        let test = fake(behaviour, "signal").await;
        assert!(test.passed(), "{behaviour}: {test:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_whose_output_comes_only_at_its_end_is_interrupted_all_the_same() {
    let test = fake("is silent", "signal").await;
    assert!(test.passed(), "{test:#?}");
}

/// Whether a process other than this one has a text in its command line or
/// in its environment.
fn somebody_mentions(text: &str) -> bool {
    let own = std::process::id().to_string();
    fs_err::read_dir("/proc").unwrap().flatten().any(|entry| {
        let is_other = entry.file_name() != own.as_str();
        is_other
            && ["cmdline", "environ"].iter().any(|file| {
                let bytes = fs_err::read(entry.path().join(file)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(text)
            })
    })
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn nothing_is_left_of_a_kernel_and_its_children_when_the_test_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let script = "sleep 1000 & echo $(dirname $1) > $HOME/folder; wait";
    let kernelspec = KernelSpec::parse(
        &serde_json::json!({"argv": ["/bin/sh", "-c", script, "sh", "{connection_file}"]})
            .to_string(),
    );
    let testing = async {
        test_kernel(&KernelTestRequest {
            kernelspec: &kernelspec.unwrap(),
            resource_dir: Path::new("/nowhere"),
            cells: Some((
                &Smoke {
                    code: String::new(),
                    expect: String::new(),
                },
                &Interrupt::Cell(String::new()),
            )),
            environment: &scrubbed_environment(|_| None),
            home: &Home::At(home.path().to_owned()),
            limits: Limits::default(),
        })
        .await
    };
    let dropped = timeout(Duration::from_millis(1500), testing).await;
    assert!(dropped.is_err(), "it was still waiting for the kernel");
    let folder = fs_err::read_to_string(home.path().join("folder")).unwrap();
    assert!(
        !Path::new(folder.trim()).exists(),
        "the private folder is gone"
    );
    let mark = home.path().to_str().unwrap();
    for _ in 0..100 {
        if !somebody_mentions(mark) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("a process of the test is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn kernels_tested_at_the_same_time_do_not_disturb_one_another() {
    let tests = tokio::join!(
        fake("is good", "signal"),
        fake("is good", "message"),
        fake("is wrong", "signal"),
        fake("is good", "signal"),
    );
    assert!(tests.0.passed() && tests.1.passed() && !tests.2.passed() && tests.3.passed());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_is_told_with_its_step() {
    for (behaviour, step, part) in [
        ("dies at once", Step::Start, "exit code 101"),
        ("never listens", Step::Start, "within 1 s"),
        ("is wrong", Step::Execute, "\"41\" and not \"42\""),
        ("has nothing to interrupt", Step::Interrupt, ""),
        ("is deaf", Step::Interrupt, "within 1 s"),
        ("dies of an interrupt", Step::Interrupt, "exit code 101"),
        ("stays whatever comes", Step::Shutdown, "within 1 s"),
    ] {
        let test = fake(behaviour, "signal").await;
        let (failed, message) = failure(&test);
        assert_eq!(failed, step, "{behaviour}: {test:#?}");
        assert!(message.contains(part), "{behaviour}: {message}");
        assert!(test.log.contains(behaviour), "the log helps: {}", test.log);
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_by_name() {
    let kernelspec = KernelSpec::parse(r#"{"argv": ["/nowhere/R"]}"#).unwrap();
    let test = test_kernel(&KernelTestRequest {
        kernelspec: &kernelspec,
        resource_dir: Path::new("/nowhere"),
        cells: Some((
            &Smoke {
                code: String::new(),
                expect: String::new(),
            },
            &Interrupt::Unsupported("it is not there".to_owned()),
        )),
        environment: &BTreeMap::new(),
        home: &Home::Private,
        limits: Limits::default(),
    })
    .await;
    let (step, message) = failure(&test);
    assert_eq!(step, Step::Start);
    assert!(message.contains("/nowhere/R"), "{message}");
}
