//! Starts a kernel as Jupyter would and sees that it computes, can be
//! interrupted, lives on and ends.
//!
//! Nothing is left: the process group is killed and the private folder removed
//! when the test ends, also when its future is dropped. What a kernel started
//! in a session of its own (the shell of `bash_kernel`) ends with the terminal that
//! the kernel held.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jupyter_zmq_client::RuntimeError;
use miette::Diagnostic;
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::client::{Begun, Client, Executed};
use super::place::Home;
use super::process::KernelProcess;
use crate::kernel::{Interrupt, InterruptMode, KernelSpec, Smoke};

/// Between a cell's first output and the interrupt, so that the cell has gone
/// on from printing to what it does for minutes.
const SETTLE: Duration = Duration::from_millis(100);

/// What to test.
#[derive(Debug, Clone, Copy)]
pub struct KernelTestRequest<'a> {
    /// The kernelspec, as Jupyter finds it.
    pub kernelspec: &'a KernelSpec,
    /// The folder that it lies in (`{resource_dir}`).
    pub resource_dir: &'a Path,
    /// The cell that it has to compute, and how it is interrupted; `None` if no
    /// definition tells: then it is only started and ended.
    pub cells: Option<(&'a Smoke, &'a Interrupt)>,
    /// The environment of the server that would start it, without HOME; see
    /// [`super::scrubbed_environment`].
    pub environment: &'a BTreeMap<String, String>,
    /// Its home.
    pub home: &'a Home,
    /// How long each step may take.
    pub limits: Limits,
}

/// How long the steps of a test may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the process to its first reply.
    pub start: Duration,
    /// For a cell.
    pub execute: Duration,
    /// From an interrupt to the end of the cell.
    pub interrupt: Duration,
    /// From the request to shut down to the end of the process; after the half
    /// of it a SIGTERM helps, as with Jupyter.
    pub shutdown: Duration,
}

impl Default for Limits {
    /// Generous, for a network file system makes a first start slow; the last
    /// one is Jupyter's own (`KernelManager.shutdown_wait_time`).
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            start: seconds(60),
            execute: seconds(60),
            interrupt: seconds(10),
            shutdown: seconds(5),
        }
    }
}

/// What made a kernel end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The request to shut down.
    Request,
    /// The SIGTERM that Jupyter sends to one that does not heed the request. It
    /// is no fault of the installation: ipykernel 7.4 can wait 10 s for a
    /// thread that it has ended already.
    Sigterm,
}

/// A step of a test, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// From the start of the process to its first reply.
    Start,
    /// The smoke cell.
    Execute,
    /// From the interrupt of a long cell to its end.
    Interrupt,
    /// The smoke cell once more, in the same process.
    Again,
    /// From the request to shut down to the end of the process.
    Shutdown,
}

/// How a step went.
#[derive(Debug)]
pub struct StepOutcome {
    /// The step.
    pub step: Step,
    /// The time that it took; why it failed.
    pub result: Result<Duration, TestFailure>,
}

/// The outcome of a test.
#[derive(Debug)]
pub struct KernelTest {
    /// The steps taken, in order. The test ends with the first that fails.
    pub steps: Vec<StepOutcome>,
    /// Why the kernel can't be interrupted, if its definition says so.
    pub not_interruptible: Option<String>,
    /// The kernel's own name and version, once it has said them.
    pub implementation: Option<String>,
    /// What made it end, if the test came so far and it did.
    pub ending: Option<Ending>,
    /// The end of what it wrote to its standard streams, for a diagnosis.
    pub log: String,
}

impl KernelTest {
    /// Whether every step was taken and went well.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|outcome| outcome.result.is_ok())
            && self
                .steps
                .last()
                .is_some_and(|outcome| outcome.step == Step::Shutdown)
    }

    /// The time of a step that went well.
    pub fn time(&self, step: Step) -> Option<Duration> {
        let found = self.steps.iter().find(|outcome| outcome.step == step)?;
        found.result.as_ref().ok().copied()
    }

    /// The step that failed, and why.
    pub fn failure(&self) -> Option<(Step, &TestFailure)> {
        self.steps
            .iter()
            .find_map(|outcome| Some((outcome.step, outcome.result.as_ref().err()?)))
    }
}

/// Why a step failed.
#[derive(Debug, Error, Diagnostic)]
pub enum TestFailure {
    /// The process did not start.
    #[error("the kernel can't be started: {0}")]
    #[diagnostic(help("`envspec apply` writes the kernelspec anew"))]
    NotStarted(#[source] std::io::Error),
    /// The process ended when it should not have.
    #[error("the kernel ended with {how}")]
    #[diagnostic(help("what it wrote last tells why"))]
    Ended {
        /// The exit code or the signal.
        how: String,
    },
    /// A step took longer than its limit.
    #[error("no answer within {} s", limit.as_secs())]
    #[diagnostic(help("try again with a longer limit if the file system is slow"))]
    TooLate {
        /// The limit.
        limit: Duration,
    },
    /// The cell failed.
    #[error("the cell ended with the status `{status}`: {error}")]
    Cell {
        /// The status that the kernel gave.
        status: String,
        /// The error that it reported.
        error: String,
    },
    /// The cell gave something else.
    #[error("the cell gave {found:?} and not {expected:?}")]
    Output {
        /// What the definition expects.
        expected: String,
        /// What came.
        found: String,
    },
    /// The long cell ended without having been interrupted.
    #[error("the cell to interrupt ended by itself with the status `{status}`: {error}")]
    #[diagnostic(help(
        "the cell of the kernel's definition has to print something and then run for minutes"
    ))]
    NothingToInterrupt {
        /// The status that the kernel gave.
        status: String,
        /// The error that it reported.
        error: String,
    },
    /// The signal could not be sent.
    #[error("the kernel can't be sent a signal: {0}")]
    Signal(#[source] std::io::Error),
    /// A message that could not be sent, received or verified.
    #[error("the kernel's messages can't be read: {0}")]
    Messages(#[from] RuntimeError),
}

/// Tests a kernel. Takes no longer than the sum of the limits.
pub async fn test_kernel(request: &KernelTestRequest<'_>) -> KernelTest {
    let mut test = KernelTest {
        steps: Vec::new(),
        not_interruptible: None,
        implementation: None,
        ending: None,
        log: String::new(),
    };
    let began = Instant::now();
    let started = KernelProcess::start(
        request.kernelspec,
        request.resource_dir,
        request.environment,
        request.home,
    );
    match started {
        Err(error) => test.note(Step::Start, Err(TestFailure::NotStarted(error))),
        Ok(process) => {
            // The failure is among the steps already.
            let _failed = walk(request, &process, began, &mut test).await;
            test.log = process.log_tail();
        }
    }
    test
}

/// Takes the steps until one fails.
async fn walk(
    request: &KernelTestRequest<'_>,
    process: &KernelProcess,
    began: Instant,
    test: &mut KernelTest,
) -> Option<()> {
    let limits = &request.limits;

    let greeting = async {
        let mut client = Client::connect(process.connection()).await?;
        let who = client.greet().await?;
        Ok((client, who))
    };
    let greeted = within(limits.start, process, greeting).await;
    let (mut client, who) = test.take(Step::Start, began, greeted)?;
    test.implementation = Some(who);

    if let Some(cells) = request.cells {
        run_cells(request, process, &mut client, test, cells).await?;
    }

    let began = Instant::now();
    let ended = shut_down(&mut client, process, limits.shutdown).await;
    test.ending = test.take(Step::Shutdown, began, ended);
    Some(())
}

/// Runs the cells of a definition until one fails.
async fn run_cells(
    request: &KernelTestRequest<'_>,
    process: &KernelProcess,
    client: &mut Client,
    test: &mut KernelTest,
    (cell, interrupt): (&Smoke, &Interrupt),
) -> Option<()> {
    let limits = &request.limits;
    let began = Instant::now();
    let ran = within(limits.execute, process, smoke(client, cell)).await;
    test.take(Step::Execute, began, ran)?;
    match interrupt {
        Interrupt::Unsupported(reason) => test.not_interruptible = Some(reason.clone()),
        Interrupt::Cell(code) => {
            let began = Instant::now();
            let running = within(limits.execute, process, begin(client, code)).await;
            let long = match running {
                Ok(long) => long,
                Err(failure) => return test.take(Step::Interrupt, began, Err(failure)),
            };
            let began = Instant::now();
            let mode = request.kernelspec.interrupt_mode();
            let stopped = async {
                match mode {
                    InterruptMode::Signal => process.interrupt().map_err(TestFailure::Signal)?,
                    InterruptMode::Message => client.interrupt().await?,
                }
                Ok(client.reply_to(&long).await?)
            };
            let stopped = within(limits.interrupt, process, stopped).await;
            test.take(Step::Interrupt, began, stopped)?;
            let began = Instant::now();
            let again = within(limits.execute, process, once_more(client, cell)).await;
            test.take(Step::Again, began, again)?;
        }
    }
    Some(())
}

/// Ends the kernel as Jupyter does, short of SIGKILL.
async fn shut_down(
    client: &mut Client,
    process: &KernelProcess,
    limit: Duration,
) -> Result<Ending, TestFailure> {
    client.shut_down().await?;
    if timeout(limit / 2, process.ended()).await.is_ok() {
        return Ok(Ending::Request);
    }
    process.terminate().map_err(TestFailure::Signal)?;
    match timeout(limit / 2, process.ended()).await {
        Ok(_) => Ok(Ending::Sigterm),
        Err(_) => Err(TestFailure::TooLate { limit }),
    }
}

/// Runs the smoke cell and compares.
async fn smoke(client: &mut Client, smoke: &Smoke) -> Result<(), TestFailure> {
    let done = client.execute(&smoke.code, &smoke.expect).await?;
    let expected = smoke.expect.trim();
    match (done.status.as_str(), done.output.trim()) {
        ("ok", found) if found == expected => Ok(()),
        ("ok", found) => {
            let (expected, found) = (expected.to_owned(), found.to_owned());
            Err(TestFailure::Output { expected, found })
        }
        _ => {
            let (status, error) = said(done);
            Err(TestFailure::Cell { status, error })
        }
    }
}

/// Runs the smoke cell after an interrupt, again while the kernel still throws away what was
/// queued behind the interrupted cell and answers `aborted` (`IRkernel`) or `abort` (tslab).
async fn once_more(client: &mut Client, cell: &Smoke) -> Result<(), TestFailure> {
    loop {
        match smoke(client, cell).await {
            Err(TestFailure::Cell { status, .. }) if status.starts_with("abort") => {
                sleep(SETTLE).await;
            }
            done => return done,
        }
    }
}

/// Starts the cell that is to be interrupted, and sees that it runs on.
async fn begin(client: &mut Client, code: &str) -> Result<String, TestFailure> {
    let ended = match client.begin(code).await? {
        Begun::Ended(done) => done,
        Begun::Running(cell) => match timeout(SETTLE, client.reply_to(&cell)).await {
            Err(_) => return Ok(cell),
            Ok(done) => done?,
        },
    };
    let (status, error) = said(ended);
    Err(TestFailure::NothingToInterrupt { status, error })
}

fn said(done: Executed) -> (String, String) {
    (
        done.status,
        done.error
            .unwrap_or_else(|| "no error was reported".to_owned()),
    )
}

/// Waits for something as long as the limit allows and the kernel lives.
async fn within<T>(
    limit: Duration,
    process: &KernelProcess,
    work: impl Future<Output = Result<T, TestFailure>>,
) -> Result<T, TestFailure> {
    tokio::select! {
        done = work => done,
        how = process.ended() => Err(TestFailure::Ended { how }),
        () = sleep(limit) => Err(TestFailure::TooLate { limit }),
    }
}

impl KernelTest {
    /// Notes a step that began at an instant; gives what it gave, if it went well.
    fn take<T>(&mut self, step: Step, began: Instant, done: Result<T, TestFailure>) -> Option<T> {
        match done {
            Ok(value) => {
                self.note(step, Ok(began.elapsed()));
                Some(value)
            }
            Err(failure) => {
                self.note(step, Err(failure));
                None
            }
        }
    }

    fn note(&mut self, step: Step, result: Result<Duration, TestFailure>) {
        self.steps.push(StepOutcome { step, result });
    }
}
