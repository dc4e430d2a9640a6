//! Waiting until a session is online.

use std::io::ErrorKind;
use std::time::Duration;

use crate::client::{Client, ClientError, ConnectOptions, WatchItem};
use crate::ctl::error::{Error, Problem};
use crate::ctl::exit::Exit;
use crate::ctl::render::live::Live;
use crate::ctl::render::{self, screen};
use crate::ctl::terminal::Terminal;
use crate::ctl::{force_logout, watch};
use crate::protocol::{EventKind, FailureCode, HistoryEntry, Phase, Status};

/// Before the first try to reach the next daemon; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Between two tries at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Shows how a session gets online, and what can be done when it does not.
pub(super) struct Waiting<'a> {
    client: Client,
    terminal: &'a mut Terminal,
    user: &'a str,
    options: ConnectOptions,
    live: Live,
    /// The last printed line, where nothing can be drawn over.
    told: Option<String>,
}

/// The meaning of a status for the person who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Done,
    /// The session makes progress by itself.
    Wait,
    /// The session may make progress by itself, but a person may help.
    Offer,
    /// The session needs a person.
    Stuck,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(
        client: Client,
        terminal: &'a mut Terminal,
        user: &'a str,
        options: ConnectOptions,
    ) -> Self {
        Self {
            client,
            terminal,
            user,
            options,
            live: Live::default(),
            told: None,
        }
    }

    /// Waits over restarts of the daemon. The next one is asked the same: it has removed a pairing that was
    /// under way, and begins another one.
    pub(super) async fn until_online(mut self) -> Result<(), Error> {
        loop {
            match self.on_this_daemon().await {
                Err(Error::Client(error))
                    if has_gone(&error) && self.client.can_connect_again() =>
                {
                    self.next_daemon(&error).await?;
                }
                ended => return ended,
            }
        }
    }

    /// Waits until another daemon runs, and connects to it.
    async fn next_daemon(&mut self, error: &ClientError) -> Result<(), Error> {
        self.live.clear(self.terminal)?;
        self.told = None;
        self.terminal.say(&format!(
            "wactl: {}\nWaiting for the next daemon, to ask it for the same; Ctrl-C ends the wait.",
            render::plain(&error.to_string())
        ));
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            match self.client.connect_again().await {
                Ok(client) => {
                    self.client = client;
                    return Ok(());
                }
                Err(error) if has_gone(&error) => pause = LONGEST_PAUSE.min(pause * 2),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn on_this_daemon(&mut self) -> Result<(), Error> {
        // The watch first, so that nothing is missed. What it brings may then be older than the answer
        // to the command, so nothing ends the wait before the daemon was asked once more.
        let mut watch = self.client.watch([self.user], None).await?;
        let mut status = self.connect().await?;
        if self.terminal.look().json {
            self.terminal.object(&status)?;
        }
        loop {
            let offering = match self.verdict(&status) {
                Verdict::Done => return self.online(&status),
                Verdict::Stuck => return Err(self.stuck(&status)),
                Verdict::Offer => true,
                Verdict::Wait => false,
            };
            self.show(&status, offering)?;
            let ticking = self.terminal.look().live && !offering;
            tokio::select! {
                item = watch.next() => {
                    let item = item?;
                    self.tell(&item)?;
                    let latest = watch.view().sessions().find(|s| s.user.as_str() == self.user);
                    status = match latest {
                        Some(latest) if goes_on(latest.phase) => latest.clone(),
                        _ => self.ask_again(&item).await?,
                    };
                }
                line = self.terminal.line(), if offering => {
                    // The cursor stands below what was drawn.
                    self.live.leave();
                    self.told = None;
                    status = self.answer(line, status).await?;
                }
                () = tokio::time::sleep(Duration::from_secs(1)), if ticking => {}
            }
        }
    }

    async fn connect(&self) -> Result<Status, ClientError> {
        self.client.connect_with(self.user, &self.options).await
    }

    fn verdict(&self, status: &Status) -> Verdict {
        let interactive = self.terminal.look().interactive;
        match status.phase {
            Phase::Online => Verdict::Done,
            Phase::Disconnected => Verdict::Stuck,
            // Also while it tries again: what is offered shall not come and go.
            Phase::Connecting | Phase::BackingOff
                if status.error.is_some() || status.reason.is_some() =>
            {
                if interactive {
                    Verdict::Offer
                } else {
                    Verdict::Wait
                }
            }
            Phase::Held | Phase::Parked | Phase::PurgeFailed | Phase::StoreCorrupt => {
                if interactive {
                    Verdict::Offer
                } else {
                    Verdict::Stuck
                }
            }
            _ => Verdict::Wait,
        }
    }

    /// The state, from the daemon itself: the item that seems to end the wait may be from before the
    /// session was connected.
    async fn ask_again(&mut self, item: &WatchItem) -> Result<Status, Error> {
        let no = match self.client.status(self.user).await {
            Ok(status) => return Ok(status),
            Err(ClientError::Failure(no)) if no.code == FailureCode::NotFound => no,
            Err(error) => return Err(error.into()),
        };
        self.live.clear(self.terminal)?;
        let (code, entry) = match item {
            WatchItem::Event(event) => (
                event.kind.as_str(),
                event.kind.ended().cloned().map(Box::new),
            ),
            WatchItem::Lagged { .. } => ("logged_out", None),
        };
        Err(match entry.or(no.last_logout) {
            Some(entry) => Problem::ended(ended_code(code, &entry), entry).into(),
            None => Problem::new(Exit::Ended, "logged_out", render::plain(&no.message)).into(),
        })
    }

    /// Says what happened, where that is not seen from the state.
    fn tell(&mut self, item: &WatchItem) -> Result<(), Error> {
        if self.terminal.look().json {
            return watch::show(self.terminal, item);
        }
        let WatchItem::Event(event) = item else {
            return Ok(());
        };
        let what = match event.kind {
            EventKind::Paired => "the phone accepted the device; logging in",
            EventKind::AccountChanged => {
                "another account than before: the target groups are cleared"
            }
            _ => return Ok(()),
        };
        self.live.clear(self.terminal)?;
        self.terminal.say(&format!("{}: {what}", self.user));
        Ok(())
    }

    fn show(&mut self, status: &Status, offering: bool) -> Result<(), Error> {
        let (look, now) = (self.terminal.look(), self.terminal.now());
        if look.json {
            return Ok(());
        }
        if look.live {
            let size = self.terminal.size();
            let (body, foot) = if offering {
                let columns = size.map_or(usize::MAX, |size| size.columns);
                let trouble = screen::trouble(status, now).wrapped(columns);
                (trouble, screen::OFFER.to_owned())
            } else {
                let screen = screen::waiting(status, now, look, size)?;
                (screen.body, screen.foot)
            };
            return Ok(self.live.draw(self.terminal, body, &foot)?);
        }
        // A line is printed when the phase changes, or the code, or the error.
        let key = format!(
            "{:?} {:?} {:?} {:?}",
            status.phase, status.qr, status.passkey, status.error
        );
        if self.told.as_ref() == Some(&key) {
            return Ok(());
        }
        self.told = Some(key);
        if offering {
            self.terminal
                .say(&screen::trouble(status, now).lines.join("\n"));
            self.terminal.ask(screen::OFFER);
            return Ok(());
        }
        let screen = screen::waiting(status, now, look, None)?;
        if !screen.body.lines.is_empty() {
            self.terminal.print(&screen.body.lines.join("\n"))?;
        }
        self.terminal.say(&screen.foot);
        Ok(())
    }

    fn online(&mut self, status: &Status) -> Result<(), Error> {
        if self.terminal.look().json {
            return Ok(());
        }
        self.live.clear(self.terminal)?;
        let account = status.account.as_ref().map(render::status::account);
        let account = account.unwrap_or_else(|| "an account not known yet".to_owned());
        Ok(self
            .terminal
            .print(&format!("{}: online as {account}", self.user))?)
    }

    fn stuck(&mut self, status: &Status) -> Error {
        if let Err(error) = self.live.clear(self.terminal) {
            return error.into();
        }
        let message = match status.phase {
            Phase::Disconnected => format!(
                "{} was disconnected while it was being connected. `wactl connect {0}` tries again",
                self.user
            ),
            _ => screen::trouble(status, self.terminal.now())
                .lines
                .join("\n"),
        };
        let problem = Problem {
            cause: status.reason,
            status: Some(Box::new(status.clone())),
            ..Problem::new(Exit::Refused, status.phase.to_string(), message)
        };
        problem.into()
    }

    /// Does what a person chose.
    async fn answer(&mut self, line: Option<String>, status: Status) -> Result<Status, Error> {
        let choice = line.as_deref().map_or("q", str::trim).to_lowercase();
        match choice.as_str() {
            "r" | "retry" => self.retry(status).await,
            "f" | "force-logout" => self.force_logout(status).await,
            "q" | "quit" => {
                let (user, phase) = (self.user, status.phase);
                let message = format!("the session of {user} stays as it is: {phase}");
                Err(Problem::new(Exit::Refused, "quit", message).into())
            }
            _ => Ok(status),
        }
    }

    async fn retry(&mut self, status: Status) -> Result<Status, Error> {
        match self.connect().await {
            Ok(status) => Ok(status),
            Err(ClientError::Failure(no)) => {
                self.terminal.say(&render::plain(&no.message));
                Ok(status)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the session, and begins a new one: with a fresh code, on the same wait.
    async fn force_logout(&mut self, status: Status) -> Result<Status, Error> {
        let account = status.account.as_ref().map(render::status::account);
        if !force_logout::confirmed(self.terminal, self.user, account).await {
            return Ok(status);
        }
        match self.client.force_logout(self.user).await {
            Ok(report) => {
                self.terminal
                    .say(render::logout::report(&report).trim_end());
                Ok(self.connect().await?)
            }
            Err(ClientError::Failure(no)) => {
                self.terminal.say(&render::plain(&no.message));
                Ok(self.client.status(self.user).await?)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the daemon is gone or stopping, so that another one may come.
fn has_gone(error: &ClientError) -> bool {
    match error {
        ClientError::NoDaemon { source, .. } => source.kind() != ErrorKind::PermissionDenied,
        ClientError::Closed(why) => why
            .as_ref()
            .is_none_or(|why| why.code == FailureCode::Stopping),
        ClientError::Failure(no) => no.code == FailureCode::Stopping,
        _ => false,
    }
}

/// Phases that a session leaves by itself, one way or the other.
fn goes_on(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Connecting
            | Phase::AwaitingScan
            | Phase::AwaitingCode
            | Phase::BackingOff
            | Phase::LoggingOut
            // A newer daemon knows what it does; its advice is shown.
            | Phase::Unknown(_)
    )
}

/// The kind of the end, as an event of it is named.
fn ended_code(event: &str, entry: &HistoryEntry) -> &'static str {
    use crate::protocol::Cause;
    match (event, entry.cause) {
        (_, Cause::PasskeyRequired) => "passkey_required",
        (_, Cause::WrongAccount) => "wrong_account",
        ("pairing_expired", _) | (_, Cause::PairingExpired) => "pairing_expired",
        _ => "logged_out",
    }
}
