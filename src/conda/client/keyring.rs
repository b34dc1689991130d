//! The system's keyring, which may wait for its owner to unlock it, or for a service
//! that never answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rattler_networking::Authentication;
use rattler_networking::authentication_storage::backends::keyring::KeyringAuthenticationStorage;
use rattler_networking::authentication_storage::{AuthenticationStorageError, StorageBackend};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keyring, given up for the rest of the run when it does not answer.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    inner: KeyringAuthenticationStorage,
    is_silent: AtomicBool,
}

impl StorageBackend for Keyring {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn get(&self, host: &str) -> Result<Option<Authentication>, AuthenticationStorageError> {
        if self.is_silent.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (answer, answered) = mpsc::channel();
        let (inner, host) = (self.inner.clone(), host.to_owned());
        // The thread ends with the program if it never gets an answer.
        std::thread::spawn(move || answer.send(inner.get(&host)).ok());
        match answered.recv_timeout(PATIENCE) {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(_)) => {
                tracing::debug!("the keyring has nothing, or is not there");
                Ok(None)
            }
            Err(_) => {
                self.is_silent.store(true, Ordering::Relaxed);
                tracing::warn!("the keyring does not answer; it is asked no more");
                Ok(None)
            }
        }
    }

    fn store(&self, host: &str, what: &Authentication) -> Result<(), AuthenticationStorageError> {
        self.inner.store(host, what)
    }

    fn delete(&self, host: &str) -> Result<(), AuthenticationStorageError> {
        self.inner.delete(host)
    }
}
