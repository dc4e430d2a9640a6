//! One client's connection, from the upgrade to its end: a task that reads stanzas and obeys
//! orders.

mod app_state;
mod delay;
mod delivery;
mod groups;
mod identity;
mod key_share;
mod keys;
mod login;
mod media_retry;
mod message;
mod mex;
mod pair_code;
mod pairing;
mod passkey;
mod query;
mod receipt;
mod registration;
mod users;

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use wacore_binary::Node;

use crate::fault::{Fault, Who};
use crate::handshake::{Established, HandshakeError, Hello, Pattern};
use crate::observation::Observation;
use crate::order::{Order, Then, Work};
use crate::shared::Shared;
use crate::stanza::attr;
use crate::upgrade;
use crate::wire::{Goodbye, LINGER, SHORT_LINGER, Wire, WireError};

use self::delay::{Deferred, DeferredWork};
use self::delivery::Delivery;
use self::login::Session;
use self::pairing::Pairing;

/// How many orders may wait for a busy connection.
const INBOX: usize = 64;

/// What comes next: go on, or end in this way.
type Step<T = ()> = ControlFlow<Goodbye, T>;

pub(crate) use self::keys::{prekey, prekey_node};
pub(crate) use self::login::client_expiration;
pub(crate) use self::mex::Restriction;
pub(crate) use self::pair_code::{normalize, unwrap, wrap};
pub(crate) use self::registration::number;

pub(crate) struct Connection {
    id: u64,
    shared: Arc<Shared>,
    wire: Wire,
    orders: mpsc::Receiver<Order>,
    who: Who,
    mode: Mode,
    phase: Phase,
    deferred: Vec<Deferred>,
    /// Wakes it when something is in the device's mailbox.
    mail: Arc<Notify>,
    delivery: Delivery,
    next_request: u32,
}

/// Whether the connection does anything at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Normal,
    /// Reads, and answers nothing.
    Hanging,
    /// Neither reads nor writes.
    Frozen,
}

/// How far the client is.
enum Phase {
    /// Not known yet, or left waiting.
    Unknown,
    Pairing(Box<Pairing>),
    LoggedIn(Session),
}

/// Serves a client until it is gone, until an order ends the connection, or until the server stops.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let stop = shared.stop.clone();
    let Some(Some(socket)) = stop
        .run_until_cancelled(upgrade::accept(&shared, stream))
        .await
    else {
        return;
    };
    let (inbox, orders) = mpsc::channel(INBOX);
    let (id, mail) = shared.world().enter(inbox);
    shared.see(Observation::ClientConnected { connection: id });
    let mut connection = Connection {
        id,
        shared: Arc::clone(&shared),
        wire: Wire::new(socket),
        orders,
        who: Who::default(),
        mode: Mode::Normal,
        phase: Phase::Unknown,
        deferred: Vec::new(),
        mail,
        delivery: Delivery::default(),
        next_request: 1,
    };
    let goodbye = stop.run_until_cancelled(connection.run()).await;
    let ghost = connection.ghost_due();
    if let (Some(due), Some(jid)) = (ghost, connection.who.device.clone()) {
        let ghost = login::conclude_ghost(Arc::clone(&shared), id, jid, due);
        let stop = stop.clone();
        shared.tasks.spawn(async move {
            stop.run_until_cancelled(ghost).await;
        });
    }
    let jid = shared.world().leave(id);
    shared.see(Observation::Disconnected {
        connection: id,
        jid,
    });
    let Connection {
        wire,
        orders,
        phase,
        deferred,
        ..
    } = connection;
    // Commands that wait for this connection learn now that it has ended.
    drop((orders, phase, deferred));
    match goodbye {
        Some(goodbye) => drop(stop.run_until_cancelled(wire.end(goodbye, LINGER)).await),
        None => wire.end(Goodbye::Close, SHORT_LINGER).await,
    }
}

impl Connection {
    async fn run(&mut self) -> Goodbye {
        let ended = match self.begin().await {
            ControlFlow::Continue(()) => self.go_on().await,
            ended @ ControlFlow::Break(_) => ended,
        };
        match ended {
            ControlFlow::Break(goodbye) => goodbye,
            ControlFlow::Continue(()) => Goodbye::Close,
        }
    }

    /// The handshake, and what the client says it is.
    async fn begin(&mut self) -> Step {
        let Some(established) = self.handshake().await? else {
            return Step::Continue(());
        };
        let observation = match established.pattern {
            Pattern::Xx => Observation::HandshakeXx {
                connection: self.id,
            },
            Pattern::Ik => Observation::HandshakeIk {
                connection: self.id,
            },
            Pattern::Fallback => Observation::HandshakeFallback {
                connection: self.id,
            },
        };
        let (client, payload) = (established.client, established.payload);
        self.wire.encrypt(established.read, established.write);
        self.shared.see(observation);
        self.introduce(client, &payload).await
    }

    /// None when the client is left waiting.
    async fn handshake(&mut self) -> Step<Option<Established>> {
        match self.shake_hands().await {
            Ok(step) => step,
            Err(error) => {
                let error = error.to_string();
                self.shared.see(Observation::HandshakeFailed {
                    connection: self.id,
                    error,
                });
                Step::Break(Goodbye::Close)
            }
        }
    }

    async fn shake_hands(&mut self) -> Result<Step<Option<Established>>, ShakeError> {
        let Some(hello) = self.wire.next_frame().await? else {
            return Ok(Step::Break(Goodbye::Gone));
        };
        let hello = Hello::read(&hello)?;
        let prologue = self.wire.prologue();
        let certificate = self.shared.world().state.certificate.clone();
        // A client that knows an old key of ours cannot be understood: it has to fall back.
        let resumption = hello
            .resume(&prologue, &certificate)
            .ok()
            .filter(|_| hello.resumes());
        let who = resumption
            .as_ref()
            .map(|resumption| login::who(resumption.payload()));
        if let Some(step) = self
            .fail_handshake(&who.unwrap_or_default(), hello.resumes())
            .await?
        {
            return Ok(step);
        }
        let refused = resumption.is_some()
            && self
                .fault(|fault| matches!(fault, Fault::RefuseIk).then_some(()))
                .is_some();
        if let Some(resumption) = resumption.filter(|_| !refused) {
            let (answer, established) = resumption.answer(&certificate)?;
            if self.has_fault(&Fault::OneMessage) {
                self.wire.hold(&answer)?;
            } else {
                self.wire.send_frame(&answer).await?;
            }
            return Ok(Step::Continue(Some(established)));
        }
        let (answer, pending) = hello.answer(&prologue, &certificate)?;
        self.wire.send_frame(&answer).await?;
        let Some(finish) = self.wire.next_frame().await? else {
            return Ok(Step::Break(Goodbye::Gone));
        };
        Ok(Step::Continue(Some(pending.finish(&finish)?)))
    }

    /// Looks for faults that concern a client hello.
    async fn fail_handshake(
        &mut self,
        who: &Who,
        resumes: bool,
    ) -> Result<Option<Step<Option<Established>>>, ShakeError> {
        self.who = who.clone();
        let fault = self.fault(|fault| match fault {
            Fault::CloseOnIk if !resumes => None,
            Fault::NoServerHello
            | Fault::GarbageServerHello
            | Fault::CloseOnHello
            | Fault::CloseOnIk => Some(fault.clone()),
            _ => None,
        });
        if let Step::Break(goodbye) = self.pause_handshake().await {
            return Ok(Some(Step::Break(goodbye)));
        }
        if self.has_fault(&Fault::Pieces) {
            self.wire.cut_in_pieces();
        }
        Ok(match fault {
            Some(Fault::NoServerHello) => {
                self.mode = Mode::Hanging;
                Some(Step::Continue(None))
            }
            Some(Fault::GarbageServerHello) => {
                self.wire.send_frame(b"this is no server hello").await?;
                self.mode = Mode::Hanging;
                Some(Step::Continue(None))
            }
            Some(_) => Some(Step::Break(Goodbye::Fin)),
            None => None,
        })
    }

    /// Reads stanzas, obeys orders and does what was put off, until the end.
    async fn go_on(&mut self) -> Step {
        loop {
            let due = self.next_due();
            // What the client did comes before what is due for it: one that is gone gets nothing.
            tokio::select! {
                biased;
                order = self.orders.recv() => self.take(order).await?,
                read = listen(&mut self.wire, self.mode) => {
                    if let Some(stanza) = self.read(read)? {
                        self.note(&stanza);
                        if self.mode == Mode::Normal {
                            self.answer(&stanza).await?;
                        }
                    }
                }
                due = until(due) => self.do_deferred(due).await?,
                () = self.mail.notified() => self.deliver().await?,
            }
        }
    }

    /// Obeys an order, and says so. None: there will be no more of them.
    async fn take(&mut self, order: Option<Order>) -> Step {
        let Some(order) = order else {
            return Step::Break(Goodbye::Close);
        };
        let step = self.obey(order.work).await;
        // Nobody may be waiting for it.
        let _ = order.done.send(());
        step
    }

    /// Remembers that a stanza has come, answered or not.
    fn note(&self, stanza: &Node) {
        let place = {
            let mut world = self.shared.world();
            let link = world.links.get_mut(&self.id);
            link.map_or(0, |link| link.received.add(stanza))
        };
        if stanza.tag == "presence" {
            self.shared.see(Observation::Presence {
                connection: self.id,
                jid: self.who.device.clone().unwrap_or_default(),
                // Without a type it means available.
                kind: attr(stanza, "type").unwrap_or_else(|| "available".to_owned()),
                name: attr(stanza, "name"),
                place,
            });
        }
    }

    async fn answer(&mut self, stanza: &Node) -> Step {
        tracing::debug!("#{} says <{}>", self.id, stanza.tag);
        match &self.phase {
            Phase::Unknown => {
                if let Some(due) = self.login_due() {
                    self.defer(due, DeferredWork::Early(stanza.clone()));
                }
                Step::Continue(())
            }
            Phase::Pairing(_) => self.answer_unpaired(stanza).await,
            Phase::LoggedIn(_) => self.answer_device(stanza).await,
        }
    }

    async fn obey(&mut self, work: Work) -> Step {
        match work {
            Work::Freeze => self.mode = Mode::Frozen,
            Work::Hang => self.mode = Mode::Hanging,
            Work::Resume => {
                self.mode = Mode::Normal;
                self.deliver().await?;
            }
            Work::RenewRefs => self.send_refs().await?,
            Work::RefreshCode(force) => self.refresh_code(force).await?,
            Work::RefreshRegistration => self.refresh_registration().await?,
            Work::Scanned(scanned) => self.scanned(scanned).await?,
            Work::Typed(typed) => self.typed(*typed).await?,
            Work::Send { nodes, then } => {
                // What is sent to a frozen connection does not arrive.
                if self.mode != Mode::Frozen {
                    for node in &nodes {
                        self.send(node).await?;
                    }
                }
                match then {
                    Then::GoOn => {}
                    Then::Hang => self.mode = self.mode.max(Mode::Hanging),
                    Then::End(_) if self.mode == Mode::Frozen && !nodes.is_empty() => {}
                    Then::End(goodbye) => return Step::Break(goodbye),
                }
            }
        }
        Step::Continue(())
    }

    async fn send(&mut self, node: &Node) -> Step {
        tracing::debug!("#{} is told <{}>", self.id, node.tag);
        let sent = self.wire.send(node).await;
        self.read(sent.map(Some)).map_continue(|()| ())
    }

    /// What was read, unless the client is gone.
    fn read<T>(&self, read: Result<Option<T>, WireError>) -> Step<T> {
        match read {
            Ok(Some(read)) => Step::Continue(read),
            Ok(None) => Step::Break(Goodbye::Close),
            Err(WireError::WebSocket(_)) => Step::Break(Goodbye::Gone),
            Err(error) => {
                tracing::warn!("#{} is cut off: {error}", self.id);
                Step::Break(Goodbye::Close)
            }
        }
    }

    fn fault<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.shared.fault(&self.who, wanted)
    }

    /// Whether this fault is in force for this client.
    fn has_fault(&self, wanted: &Fault) -> bool {
        self.fault(|fault| (fault == wanted).then_some(()))
            .is_some()
    }

    fn set_stage(&self, stage: &'static str) {
        if let Some(link) = self.shared.world().links.get_mut(&self.id) {
            link.stage = stage;
        }
    }

    /// An id for a request of the server's own.
    fn request_id(&mut self) -> String {
        let id = self.next_request;
        self.next_request += 1;
        format!("{}-{id}", self.id)
    }
}

/// The next stanza. A frozen connection reads none, and only notices that its client has gone.
async fn listen(wire: &mut Wire, mode: Mode) -> Result<Option<Option<Node>>, WireError> {
    if mode == Mode::Frozen {
        wire.closed(true).await;
        return Ok(None);
    }
    wire.next().await
}

/// Waits until then; for ever without a time.
async fn until(due: Option<Instant>) -> Instant {
    match due {
        Some(due) => {
            sleep_until(due).await;
            due
        }
        None => std::future::pending().await,
    }
}

/// Why a handshake failed: the connection or the messages.
#[derive(Debug, thiserror::Error)]
enum ShakeError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}
