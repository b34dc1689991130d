//! What can go wrong with a kernel from Nix.

use std::path::PathBuf;

use miette::Diagnostic;
use thiserror::Error;

/// A kernel from Nix that can't be had.
#[derive(Debug, Error, Diagnostic)]
pub enum NixError {
    /// There is no Nix.
    #[error("the kernel {kernel} is built by Nix, and there is no `nix` on this machine")]
    #[diagnostic(help(
        "install it as https://nixos.org/download says, or the package `nix-bin` of Debian and Ubuntu. On a cluster ask for it: kernels run from the store, so compute nodes have to see it too. Or take {kernel} out of the spec"
    ))]
    Missing {
        /// The kernel.
        kernel: String,
    },

    /// The folder of a flake has more in it than a flake.
    #[error("the kernel {kernel}: the folder of its flake, {}, has {what}", folder.display())]
    #[diagnostic(help(
        "its Nix files tell whether the lock is stale, so each command reads them: give the flake a folder of its own, or name it at a revision that is pinned: git+file://{}#…",
        folder.display()
    ))]
    TooManySources {
        /// The kernel.
        kernel: String,
        /// The folder.
        folder: PathBuf,
        /// Of what it has too much.
        what: String,
    },

    /// A flake's sources could not be read.
    #[error("the kernel {kernel}: could not read {} of its flake", path.display())]
    #[diagnostic(help(
        "its Nix files tell whether the lock is stale: check the permissions, or give the flake a folder of its own"
    ))]
    Sources {
        /// The kernel.
        kernel: String,
        /// The file or the folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },

    /// An installable could not be evaluated.
    #[error("the kernel {kernel}: Nix can't evaluate {installable}\n{output}")]
    #[diagnostic(help(
        "neither lock nor environment was changed; Nix's words are above. A flake with inputs needs its flake.lock beside it: nix flake lock"
    ))]
    Evaluation {
        /// The kernel.
        kernel: String,
        /// The installable.
        installable: String,
        /// Nix's words.
        output: String,
    },

    /// An installable has no store path before it is built.
    #[error(
        "the kernel {kernel}: {installable} has no store path that is known before it is built"
    )]
    #[diagnostic(help(
        "a lock needs one: make it an ordinary derivation, not a content-addressed one, or name its store path in the spec"
    ))]
    NoPath {
        /// The kernel.
        kernel: String,
        /// The installable.
        installable: String,
    },

    /// There is no name for a platform among Nix's systems.
    #[error("the kernel {kernel}: Nix has no system for the platform {platform}")]
    #[diagnostic(help(
        "take the platform from `platforms` in the spec, or the kernel from `kernels`"
    ))]
    NoSystem {
        /// The kernel.
        kernel: String,
        /// The conda platform.
        platform: String,
    },

    /// The lock says nothing of the kernel on this platform.
    #[error("{name} has no store path for the kernel {kernel} on {platform}")]
    #[diagnostic(help("bring it up to date with: envspec lock"))]
    NotLocked {
        /// The lock.
        name: String,
        /// The kernel.
        kernel: String,
        /// The conda platform.
        platform: String,
    },

    /// The store path of the lock can't be had, and the installable gives another.
    #[error("the kernel {kernel}: {name} has {locked}, and {installable} gives {now} by now")]
    #[diagnostic(help(
        "take the one of the lock from where it was built: nix copy --from ssh://HOST {locked}. Or lock what there is now: envspec lock --renew"
    ))]
    Differs {
        /// The kernel.
        kernel: String,
        /// The lock.
        name: String,
        /// The store path of the lock.
        locked: String,
        /// The installable.
        installable: String,
        /// The store path that it gives.
        now: String,
    },

    /// A store path is for a store elsewhere.
    #[error("the kernel {kernel}: {name} has {locked}, and the store of this machine is {store}")]
    #[diagnostic(help("a store path is of use in its own store only: envspec lock --renew"))]
    OtherStore {
        /// The kernel.
        kernel: String,
        /// The lock.
        name: String,
        /// The store path of the lock.
        locked: String,
        /// The folder of this machine's store.
        store: String,
    },

    /// A store path that nobody has and nobody can build.
    #[error("the kernel {kernel}: {path} is not in the store and in no binary cache\n{output}")]
    #[diagnostic(help(
        "nothing was switched. Copy it from where it was built: nix copy --from ssh://HOST {path}. Or name what builds it, such as path:./flake#kernel"
    ))]
    Unavailable {
        /// The kernel.
        kernel: String,
        /// The store path.
        path: String,
        /// Nix's words.
        output: String,
    },

    /// A build failed.
    #[error("the kernel {kernel}: Nix could not build {installable}\n{output}")]
    #[diagnostic(help(
        "nothing was switched. Nix's words are above; try it alone with: nix build. Or take {kernel} out of the spec"
    ))]
    Build {
        /// The kernel.
        kernel: String,
        /// The installable.
        installable: String,
        /// Nix's words.
        output: String,
    },

    /// A store path without a kernelspec.
    #[error("the kernel {kernel}: there is no kernelspec in {path}")]
    #[diagnostic(help(
        "nothing was switched. A kernel.json is looked for in share/jupyter/kernels/*, in kernels/* (as `jupyter-kernel.create` of nixpkgs makes it), in the folders of the path and in the path itself"
    ))]
    NoKernelspec {
        /// The kernel.
        kernel: String,
        /// The store path.
        path: PathBuf,
    },

    /// A store path with several kernelspecs, none of which is meant by name.
    #[error("the kernel {kernel}: {path} has several kernelspecs: {names}")]
    #[diagnostic(help(
        "give the entry of the spec the name of the one that is meant, or one entry to each: `- {first}: {{installable: …}}`"
    ))]
    Several {
        /// The kernel.
        kernel: String,
        /// The store path.
        path: PathBuf,
        /// The kernelspecs.
        names: String,
        /// The first of them.
        first: String,
    },
}
