//! The real binary in a directory of its own, with a clean environment and an end that comes.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use proofload::{clock::Clock, units::SECOND_NS};

/// A process that runs longer than this is killed, and its test fails.
const PROCESS_MAX_NS: u64 = 120 * SECOND_NS;

/// A call of the binary.
pub(crate) struct Proofload {
    dir: tempfile::TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    before: Option<String>,
}

/// What came of a call.
pub(crate) struct Done {
    /// The exit code; a signal is negative.
    pub(crate) code: i32,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
    dir: tempfile::TempDir,
}

/// A call under way.
pub(crate) struct Started {
    child: Child,
    clock: Clock,
    dir: tempfile::TempDir,
}

impl Proofload {
    /// A call with these arguments, divided at blanks.
    pub(crate) fn new(line: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            args: line.split_whitespace().map(str::to_owned).collect(),
            env: Vec::new(),
            before: None,
        }
    }

    /// Works where an earlier call has left its files.
    pub(crate) fn within(mut self, earlier: Done) -> Self {
        self.dir = earlier.dir;
        self
    }

    /// Adds arguments as they are.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(ToString::to_string));
        self
    }

    /// Sets a variable of the environment, which is empty otherwise.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a file into the working directory.
    pub(crate) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// The working directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Shell commands that the process goes through before it becomes the binary.
    pub(crate) fn before(mut self, commands: &str) -> Self {
        self.before = Some(commands.to_owned());
        self
    }

    /// Starts it; stdout goes to a file.
    pub(crate) fn start(self) -> Started {
        let out = File::create(self.dir.path().join(".stdout")).unwrap();
        self.start_with(out.into())
    }

    /// Starts it with this as stdout.
    pub(crate) fn start_with(self, stdout: Stdio) -> Started {
        let binary = env!("CARGO_BIN_EXE_proofload");
        let mut command = match &self.before {
            None => Command::new(binary),
            Some(commands) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{commands}; exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let child = command
            .args(&self.args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.dir.path())
            .env("TMPDIR", self.dir.path())
            .envs(self.env)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(File::create(self.dir.path().join(".stderr")).unwrap())
            .spawn()
            .unwrap();
        Started {
            child,
            clock: Clock::start(),
            dir: self.dir,
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Done {
        self.start().wait()
    }
}

impl Started {
    /// A path in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pipe that was given as stdout.
    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success(), "kill -s {name}");
    }

    /// Waits until something is true of the working directory.
    pub(crate) fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&Path) -> bool) {
        while !is_so(self.dir.path()) {
            if let Some(status) = self.poll() {
                let stderr = read(self.dir.path(), ".stderr");
                panic!("ended with {status} before {what}: {stderr}");
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Done {
        let status = loop {
            if let Some(status) = self.poll() {
                break status;
            }
        };
        Done {
            code: status
                .code()
                .unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: read(self.dir.path(), ".stdout"),
            stderr: read(self.dir.path(), ".stderr"),
            dir: self.dir,
        }
    }

    /// The end, if it has come; a little patience otherwise.
    pub(crate) fn poll(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_none() {
            if self.clock.now_ns() > PROCESS_MAX_NS {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("did not end: {}", read(self.dir.path(), ".stderr"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        status
    }
}

impl Done {
    /// A path in the working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Everything that it left behind: file names with their bytes, stdout and stderr too.
    pub(crate) fn everything(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut todo = vec![self.dir.path().to_owned()];
        while let Some(directory) = todo.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap();
                    found.push((path, bytes));
                }
            }
        }
        found
    }

    /// Asserts the exit code, and shows what was said if it is another one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert_eq!(self.code, code, "stdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// Asserts that a run has measured: it is well, or disturbed by nothing but a busy machine.
    #[track_caller]
    pub(crate) fn measured(self) -> Self {
        let disturbed = self.stdout.contains("the generator's own state");
        if self.code == 12 && disturbed && !self.stdout.contains("nothing was answered") {
            return self;
        }
        self.expect(0)
    }

    /// Whether the generator was disturbed so much that it says so itself.
    pub(crate) fn is_disturbed(&self) -> bool {
        let own = [
            "throttled",
            "steal",
            "send_lag",
            "lag_differs",
            "not_sent_late",
            "stall",
            "cpu",
            "clock_step",
        ];
        self.code == 12 && own.iter().any(|cause| self.stdout.contains(cause))
    }
}

fn read(directory: &Path, name: &str) -> String {
    String::from_utf8(std::fs::read(directory.join(name)).unwrap_or_default()).unwrap()
}

/// Measures again, a few times, when the machine was too busy to measure at all.
#[expect(
    clippy::print_stdout,
    reason = "whoever reads a failure must see that it was repeated"
)]
pub(crate) fn honestly(call: impl Fn() -> Done) -> Done {
    let mut done = call();
    for _ in 0..7 {
        if !done.is_disturbed() {
            break;
        }
        println!(
            "the machine was too busy to measure, once more: {}",
            done.stdout
        );
        done = call();
    }
    done
}
