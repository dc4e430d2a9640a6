//! The person or program that called: where data and talk go, and where answers come from.

use std::fmt;
use std::future::Future;
use std::io::{self, BufRead, IsTerminal, Write};
use std::pin::Pin;

use anstream::{AutoStream, ColorChoice};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::json::Document;

/// Both ends of the conversation with the caller. A command gets one and knows no other way out.
pub(crate) struct Terminal {
    /// Data: what the command was asked for.
    out: Box<dyn Write>,
    /// Talk: everything else.
    talk: Box<dyn Write>,
    answers: Answers,
    look: Look,
    clock: Box<dyn Fn() -> Timestamp>,
    size: Box<dyn Fn() -> Option<Size>>,
    interrupt: Box<dyn Fn() -> Interrupt>,
}

pub(crate) type Interrupt = Pin<Box<dyn Future<Output = ()>>>;

/// What may be done to the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Four independent answers about one terminal.
pub(crate) struct Look {
    /// Objects for programs instead of text for people.
    pub(crate) json: bool,
    /// The data goes to a terminal.
    pub(crate) terminal: bool,
    /// That terminal lets the cursor be moved.
    pub(crate) live: bool,
    /// Colours are wanted and shown.
    pub(crate) colour: bool,
    /// Somebody is there to answer questions.
    pub(crate) interactive: bool,
}

/// The size of the terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// Lines that a person types.
enum Answers {
    /// Not read so far.
    Unread(fn() -> mpsc::Receiver<String>),
    Open(mpsc::Receiver<String>),
}

impl Terminal {
    /// The one the process was started with.
    pub(crate) fn from_process(json: bool) -> Self {
        let (out, talk) = (io::stdout(), io::stderr());
        let terminal = out.is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let look = Look {
            json,
            terminal,
            live: terminal && !dumb && !json,
            colour: AutoStream::choice(&out) != ColorChoice::Never,
            interactive: !json && io::stdin().is_terminal() && talk.is_terminal(),
        };
        Self {
            out: Box::new(out),
            talk: Box::new(talk),
            answers: Answers::Unread(read_stdin),
            look,
            clock: Box::new(Timestamp::now),
            size: Box::new(|| {
                let (width, height) = terminal_size::terminal_size()?;
                Some(Size {
                    columns: width.0.into(),
                    rows: height.0.into(),
                })
            }),
            interrupt: Box::new(|| {
                Box::pin(async {
                    if tokio::signal::ctrl_c().await.is_err() {
                        // No handler could be set: Ctrl-C ends the process as it always does.
                        std::future::pending::<()>().await;
                    }
                })
            }),
        }
    }

    pub(crate) fn look(&self) -> Look {
        self.look
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The size, where it is known and the data goes to a terminal.
    pub(crate) fn size(&self) -> Option<Size> {
        (self.size)().filter(|_| self.look.terminal)
    }

    /// Ready when the caller wants the command to end.
    pub(crate) fn interrupted(&self) -> Interrupt {
        (self.interrupt)()
    }

    /// Writes data as it is.
    pub(crate) fn raw(&mut self, data: &[u8]) -> io::Result<()> {
        self.out.write_all(data)?;
        self.out.flush()
    }

    /// Writes text as data, ended by a newline.
    pub(crate) fn print(&mut self, text: &str) -> io::Result<()> {
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        self.raw(format!("{text}{newline}").as_bytes())
    }

    /// Writes an object as data, on one line.
    pub(crate) fn object<T: Serialize>(&mut self, body: T) -> io::Result<()> {
        let line = serde_json::to_string(&Document::new(body))?;
        self.print(&line)
    }

    /// Tells a person something. That nobody listens is no reason to stop.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.talk, "{text}").and_then(|()| self.talk.flush());
    }

    /// Asks a person something, on the same line.
    pub(crate) fn ask(&mut self, question: &str) {
        let _ = write!(self.talk, "{question} ").and_then(|()| self.talk.flush());
    }

    /// The next line a person types, without its end; `None`: there will be no more. Loses nothing
    /// when dropped.
    pub(crate) async fn line(&mut self) -> Option<String> {
        if let Answers::Unread(begin) = self.answers {
            self.answers = Answers::Open(begin());
        }
        match &mut self.answers {
            Answers::Open(lines) => lines.recv().await,
            Answers::Unread(_) => None,
        }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("look", &self.look)
            .finish_non_exhaustive()
    }
}

/// Reads lines on a thread of their own: a read from a terminal cannot be called off, and nothing
/// waits for this thread when the program ends.
fn read_stdin() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

#[cfg(test)]
pub(crate) mod scripted {
    //! For tests: a terminal that records and follows a script.

    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::client::scripted::morning;

    /// What was written, as the test sees it.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Recording(Arc<Mutex<Vec<u8>>>);

    impl Recording {
        pub(crate) fn bytes(&self) -> Vec<u8> {
            self.0.lock().expect("no test panicked").clone()
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.bytes()).expect("text")
        }
    }

    impl Write for Recording {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("no test panicked")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe nobody reads.
    pub(crate) struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) struct Scripted {
        pub(crate) terminal: Terminal,
        pub(crate) out: Recording,
        pub(crate) talk: Recording,
        pub(crate) typed: mpsc::Sender<String>,
    }

    /// Records; its clock begins in the morning and follows tokio's.
    pub(crate) fn terminal(look: Look) -> Scripted {
        let (out, talk) = (Recording::default(), Recording::default());
        let (typed, lines) = mpsc::channel(8);
        let began = std::cell::OnceCell::new();
        let clock = move || {
            if tokio::runtime::Handle::try_current().is_err() {
                return morning();
            }
            let began = *began.get_or_init(tokio::time::Instant::now);
            let passed = jiff::SignedDuration::try_from(began.elapsed()).expect("short");
            morning() + passed
        };
        let terminal = Terminal {
            out: Box::new(out.clone()),
            talk: Box::new(talk.clone()),
            answers: Answers::Open(lines),
            look,
            clock: Box::new(clock),
            size: Box::new(|| {
                Some(Size {
                    columns: 100,
                    rows: 60,
                })
            }),
            interrupt: Box::new(|| Box::pin(std::future::pending())),
        };
        Scripted {
            terminal,
            out,
            talk,
            typed,
        }
    }

    impl Scripted {
        pub(crate) fn closed(mut self) -> Self {
            self.terminal.out = Box::new(Closed);
            self
        }

        pub(crate) fn interrupted_after(mut self, time: std::time::Duration) -> Self {
            self.terminal.interrupt = Box::new(move || Box::pin(tokio::time::sleep(time)));
            self
        }
    }
}
