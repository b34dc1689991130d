//! `pixi.lock`: the lock without the head that only envspec reads.

use rattler_lock::{DEFAULT_ENVIRONMENT_NAME, LockFile, LockFileBuilder, PlatformData};

use super::{Exported, UnexportableError};
use crate::lock::{Lock, LockError};

/// The lock as rattler writes it, all platforms; with `only`, the prefix of that kernel
/// as the one environment.
///
/// # Errors
/// The lock has no such kernel.
pub fn pixi(lock: &Lock, only: Option<&str>) -> Result<Exported, UnexportableError> {
    let file = lock.file();
    let text = match only {
        None => file.render_to_string(),
        Some(kernel) => of_kernel(lock, file, kernel)?.render_to_string(),
    };
    Ok(Exported {
        text: text.map_err(LockError::from)?,
        left_out: Vec::new(),
    })
}

fn of_kernel(lock: &Lock, file: &LockFile, kernel: &str) -> Result<LockFile, UnexportableError> {
    let rules = "what a lock was read with can be written again";
    let environment = file
        .environment(kernel)
        .ok_or_else(|| LockError::NoPrefix {
            name: lock.name().to_owned(),
            kernel: kernel.to_owned(),
        })?;
    let platforms = file.platforms().map(|platform| PlatformData {
        name: platform.name().clone(),
        subdir: platform.subdir(),
        virtual_packages: platform.virtual_packages().to_vec(),
    });
    let mut builder = LockFileBuilder::new()
        .with_platforms(platforms.collect())
        .expect(rules);
    builder.set_channels(
        DEFAULT_ENVIRONMENT_NAME,
        environment.channels().iter().cloned(),
    );
    for (platform, packages) in environment.packages_by_platform() {
        for package in packages {
            builder
                .add_package(DEFAULT_ENVIRONMENT_NAME, platform.name(), package.clone())
                .expect(rules);
        }
    }
    if let Some(indexes) = environment.pypi_indexes() {
        builder.set_pypi_indexes(DEFAULT_ENVIRONMENT_NAME, indexes.clone());
    }
    builder.set_options(
        DEFAULT_ENVIRONMENT_NAME,
        environment.solve_options().clone(),
    );
    Ok(builder.finish())
}
