// What the daemon tells has the names and shapes it has on the socket; times are RFC 3339 in UTC. A newer
// daemon may say more phases, causes and the like, so they are strings here, with what is known today. Have a
// branch for those that you do not know: show a status by its `next_action`, and an event by its `kind`.
// Fields that a newer daemon adds are in the objects, and not in these types.

type Open<Known extends string> = Known | (string & {});

export type Phase = Open<
  | 'connecting' | 'awaiting_scan' | 'awaiting_code' | 'online' | 'backing_off' | 'held' | 'parked'
  | 'disconnected' | 'logging_out' | 'purge_failed' | 'store_corrupt'
>;

export type Cause = Open<
  | 'unlinked' | 'logged_out' | 'replaced' | 'account_locked' | 'invalidated' | 'force_logout'
  | 'pairing_expired' | 'passkey_required' | 'wrong_account' | 'pairing_abandoned' | 'temporary_ban' | 'client_outdated' | 'refused'
  | 'server_unavailable' | 'rate_limited' | 'stream_ended' | 'stream_error' | 'connection_lost'
  | 'proxy_refused' | 'unreachable' | 'handshake_failed' | 'silent' | 'stuck' | 'store_failed'
  | 'task_failed' | 'idle' | 'copied_credentials'
>;

export type EventKind = Open<
  | 'connecting' | 'qr' | 'pair_code' | 'passkey' | 'paired' | 'online' | 'backing_off' | 'held' | 'parked'
  | 'disconnected' | 'logging_out' | 'logged_out' | 'pairing_expired' | 'purge_failed'
  | 'store_corrupt' | 'targets' | 'account_changed' | 'restrictions'
  | 'warnings' | 'updated'
>;

export type FailureCode = Open<
  | 'invalid_request' | 'invalid_user' | 'invalid_argument' | 'not_found' | 'not_allowed'
  | 'quota_exceeded' | 'rate_limited' | 'not_online' | 'not_awaited' | 'wrong_account' | 'deadline_exceeded' | 'purge_failed'
  | 'store_corrupt' | 'store_failed' | 'refused' | 'config_invalid' | 'stopping' | 'internal'
  | 'unknown_command' | 'too_large' | 'not_now'
>;

/** The WhatsApp account a session is linked to. */
export interface Account {
  jid: string;
  /** In E.164 form, with the plus sign. */
  phone: string;
  name: string | null;
}

/** A QR code that can be scanned now. */
export interface Qr {
  /** The text to draw; null in `list`. It links a device: keep it out of logs. */
  code: string | null;
  number: number;
  remaining: number;
  expires_at: string;
}

/** A pair code that can be entered on the phone now. */
export interface PairCode {
  /** Null in `list`. It links a device: keep it out of logs. */
  code: string | null;
  phone: string;
  expires_at: string;
}

/** A pairing for which WhatsApp wants a passkey of the account. */
export interface Passkey {
  /** What it waits for. */
  step: Open<'announced' | 'challenge' | 'checking' | 'confirmation' | 'linking'>;
  /** Step `confirmation`: the code that must be the same on the phone; null in `list`. */
  code: string | null;
  expires_at: string;
}

/** WhatsApp's challenge for a passkey. */
export interface PasskeyChallenge {
  /** WebAuthn's `PublicKeyCredentialRequestOptions` in JSON, as WhatsApp sent them. A secret. */
  options: string;
  expires_at: string;
}

/** The state of one session. */
export interface Status {
  user: string;
  phase: Phase;
  since: string;
  /** One sentence that tells a person what to do now. */
  next_action: string;
  owner: number;
  account: Account | null;
  connecting: {
    attempt: number;
    stage: Open<'transport' | 'handshake' | 'login' | 'sync'>;
    stage_since: string;
  } | null;
  qr: Qr | null;
  pair_code: PairCode | null;
  retry_at: string | null;
  held_until: string | null;
  /** Why it is not online, where there is a reason. */
  reason: Cause | null;
  error: string | null;
  targets: string[];
  last_activity: string | null;
  /** Where WhatsApp locked the account: with it the owner can appeal. A secret; null in `list`. */
  appeal_token: string | null;
  /** What WhatsApp forbids the account for a time. The session stays online. */
  restrictions: Restriction[];
  /** What will become a failure if nobody does anything. */
  warnings: Warning[];
  /** WhatsApp wants a passkey for the pairing: `reason` is `passkey_required`. */
  passkey: Passkey | null;
  /** The proxy in force; null: the session's record cannot be read, so nobody knows. */
  proxy: SessionProxy | null;
  /** While it is not paired: the phone number of the account that is expected. */
  expect: string | null;
}

/** What WhatsApp forbids an account for a time. */
export interface Restriction {
  kind: Open<'reachout_timelock' | 'new_chat_limit'>;
  since: string;
  /** When it ends; null: WhatsApp did not say. */
  until: string | null;
  /** WhatsApp's own word for it, and numbers where there are some. */
  detail: string | null;
}

/** What will become a failure if nobody does anything. */
export interface Warning {
  kind: Open<
    'client_outdated' | 'client_expires' | 'phone_silent' | 'app_state_missing' | 'new_chat_limit_near'
  >;
  since: string;
  /** By when something must be done, where that is known. */
  due: string | null;
  /** What is wrong and what to do. */
  text: string;
}

/** One ended session. */
export interface HistoryEntry {
  at: string;
  user: string;
  cause: Cause;
  account: Account | null;
  owner: number;
  /** The uid that asked for it; null: WhatsApp or the daemon itself. */
  requested_by: number | null;
  unlink: Open<'confirmed' | 'refused' | 'unreachable' | 'not_linked' | 'not_asked' | 'unknown'>;
  removed: { files: number; bytes: number; targets: number };
  /** What WhatsApp said about it. */
  text: string | null;
  /** With which the person can appeal against a locked account. A secret. */
  appeal_token: string | null;
  /** What WhatsApp forbade the account when the session ended. */
  restrictions: Restriction[];
  /** When the device was linked; null: never, or nobody knows. */
  linked_at: string | null;
}

/** The session is gone, and this is how. */
export interface LogoutReport {
  entry: HistoryEntry;
  next_action: string;
}

export interface Group {
  jid: string;
  subject: string;
  size: number;
}

/** The proxy through which a session reaches WhatsApp. */
export interface SessionProxy {
  /** Who chose it: the configuration for all sessions, or somebody for this one. */
  source: Open<'default' | 'session'>;
  /** Without user and password; null: WhatsApp is reached without a proxy. */
  url: string | null;
  /** Whether a user and a password go with it. */
  authenticated: boolean;
  /** Why the proxy that was chosen for the session cannot be used: then it does not connect. */
  error: string | null;
}

/** About the master key, which wraps the keys of all sessions. */
export interface MasterKey {
  /** `credential` (of systemd) or `file` (in the state directory); null: there is none that can be used. */
  source: string | null;
  /** In hex. It says nothing about the key. */
  id: string | null;
  /** Whether a rotation is not over: the key before it is needed, too. */
  rotating: boolean;
  /** Why there is none that can be used. */
  error: string | null;
}

/** What a rotation of the master key did. */
export interface RotatedKey {
  /** The id of the master key now, in hex. */
  id: string;
  /** Whether it is a new one. It is not where the rotation before could only be finished, or not even that. */
  begun: boolean;
  /** How many keys of sessions were wrapped anew. */
  wrapped: number;
  /** The users whose keys could not be wrapped anew, and why: the first hundred. */
  left: { user: string; why: string }[];
  left_total: number;
  /** Whether the rotation is over: the key before it is needed no more, and destroyed. */
  finished: boolean;
}

export interface Info {
  version: string;
  pid: number;
  started_at: string;
  epoch: number;
  state_directory: string;
  config_file: string | null;
  simulator: boolean;
  summary: string;
  phases: { name: string; count: number }[];
  logouts: { name: string; count: number }[];
  purge_failures: number;
  /** How long a removal took: the middle one of the last thousand. */
  purge_median_ms: number | null;
  purges: number;
  purge_total_ms: number;
  purge_longest_ms: number | null;
  /** What concerns the daemon and all its sessions. */
  warnings: Warning[];
  /** The proxy of all sessions that have none of their own, without user and password. */
  proxy: string | null;
  /** For admins; null to others. */
  master_key: MasterKey | null;
}

/** Something that happened to one session. */
export interface SessionEvent {
  seq: number;
  at: string;
  user: string;
  kind: EventKind;
  /** With `logged_out` and `pairing_expired`: the session that ended. */
  ended: HistoryEntry | null;
  /** The session after it; null: there is none any more. */
  status: Status | null;
}

/** Where a follower left off. */
export interface Since {
  /** The run of the daemon; null: the present one. */
  epoch: number | null;
  seq: number;
}

/**
 * What comes out of a `Follow`. `ended` is the session that ended, if the item tells of one: each end is
 * told by one item.
 */
export type Item =
  /** The sessions as they are: at the beginning, after each reconnect, and after a lag. */
  | { type: 'state'; sessions: Map<string, Status>; epoch: number; seq: number; gap: boolean; ended: null }
  /** Something happened just now. */
  | { type: 'event'; event: SessionEvent; ended: HistoryEntry | null }
  /** Something that happened while there was no connection; the state that follows includes it. */
  | { type: 'replayed'; event: SessionEvent; ended: HistoryEntry | null }
  /** A session that ended while this follower was not connected, or fell behind: from the history. */
  | { type: 'missed'; entry: HistoryEntry; ended: HistoryEntry }
  /** The connection ended. It is made again until it succeeds; a `state` says when. */
  | { type: 'lost'; error: WasessionError; ended: null };

export type TargetEdit =
  | 'show' | 'clear' | { set: string[] } | { add: string[] } | { remove: string[] };

/** `set` takes a URL, perhaps with a user and a password. */
export type ProxyEdit = 'show' | 'none' | 'clear' | { set: string };

export interface ClientOptions {
  /** The socket; else where wactl would look. */
  socket?: string;
  /** What this program calls itself, for the daemon's log. */
  name?: string;
  /** How long connecting may take, in milliseconds. */
  connectTimeout?: number;
  /** How long a request may take, in milliseconds. */
  requestTimeout?: number;
}

/**
 * A connection to the daemon. Requests may be made at once; a slow one holds up no other. It does not
 * connect again by itself; a `Follow` does.
 */
export class Client {
  private constructor();
  static connect(options?: ClientOptions): Promise<Client>;
  /** What the daemon calls itself: `wasessiond/<version>`. */
  readonly server: string;
  ping(): Promise<void>;
  info(): Promise<Info>;
  /** Lets the daemon read its configuration again. Admins only. */
  reload(): Promise<{ changed: string[]; needs_restart: string[] }>;
  /** Makes another key the master key, which wraps the keys of all sessions. Admins only. */
  rotateKey(): Promise<RotatedKey>;
  /**
   * Brings a session up; with a phone number it pairs by code instead of by QR code. Where another account
   * is linked than the one to `expect`, by its phone number, it is unlinked again. `proxy` is the proxy of a
   * session that begins now, from its first connection on: a URL, or `none`. Resolves as soon as the session
   * runs: follow it to see it come up.
   */
  connect(
    user: string,
    options?: { phone?: string | null; expect?: string | null; proxy?: string | null },
  ): Promise<Status>;
  /** Closes a session and keeps its credentials. One that was still pairing has none: it is removed. */
  disconnect(
    user: string,
  ): Promise<{ kept: Status; removed: null } | { kept: null; removed: LogoutReport }>;
  /**
   * Unlinks the device at WhatsApp if it can be reached, and removes everything of the session. It is gone
   * when this resolves.
   */
  forceLogout(user: string): Promise<LogoutReport>;
  status(user: string): Promise<Status>;
  /** Every session the caller may see, by user, without secrets. */
  list(): Promise<Status[]>;
  /** Sessions that ended, newest first; 100 where no limit is given. */
  history(options?: { user?: string | null; limit?: number }): Promise<HistoryEntry[]>;
  /** WhatsApp's challenge, where the status says that it wants a passkey. */
  passkeyChallenge(user: string): Promise<PasskeyChallenge>;
  /**
   * Hands in the answer of a passkey: a `PublicKeyCredential`, or its JSON. The code to compare follows in
   * the status.
   */
  passkeyAssert(user: string, assertion: string | object): Promise<Status>;
  /** Says that the code in the status is the same on the phone. */
  passkeyConfirm(user: string): Promise<Status>;
  /** The groups of the account, asked from WhatsApp. */
  groups(user: string): Promise<Group[]>;
  /** Shows or changes the target groups, and resolves with them as they are then. */
  targets(user: string, edit?: TargetEdit): Promise<string[]>;
  /** Shows or changes the proxy of a session, and resolves with it as it is then, without its login. */
  proxy(user: string, edit?: ProxyEdit): Promise<SessionProxy>;
  /**
   * Follows these users, or, when none is named, everyone the caller may see, now and later; resolves when
   * the whole state is here. It has a connection of its own.
   */
  follow(options?: { users?: Iterable<string>; since?: Since | null }): Promise<Follow>;
  /** Sends a command as it travels, and resolves with its answer as it travels. */
  request(command: unknown): Promise<unknown>;
  /** Closes the connection. Requests that wait learn that it is closed. */
  close(): Promise<void>;
}

/**
 * The state of some sessions and everything that happens to them, over restarts of the daemon. The first
 * item is a state. It connects again as often as it must, and finds in the history what it could not be told
 * meanwhile: the end of a session is never lost, and never told twice.
 */
export class Follow implements AsyncIterable<Item> {
  private constructor();
  /** The sessions after the last item, by user. */
  readonly sessions: Map<string, Status>;
  /**
   * What to give as `since` to go on from here in another run of the program. When the first state then says
   * `gap`, look into the history: this cannot know what that run knew.
   */
  readonly position: { epoch: number; seq: number };
  /**
   * Waits for what comes next. Rejects with ConnectionClosed after `close`; what else it rejects with,
   * trying again cannot help. One reader at a time.
   */
  next(): Promise<Item>;
  /** Leaving the loop closes the follower. */
  [Symbol.asyncIterator](): AsyncIterator<Item>;
  close(): Promise<void>;
}

/**
 * The socket to connect to, as wactl finds it: the given one; else $WASESSIOND_SOCKET; else that of the
 * user's own daemon, where it exists; else the system's.
 */
export function socketPath(given?: string): string;

/** Every error of this package. */
export class WasessionError extends Error {}

/** No connection to the socket: no daemon there, or not for this user. */
export class NoDaemon extends WasessionError {
  readonly path: string;
}

/** What came is not this protocol, or does not follow it. */
export class ProtocolError extends WasessionError {}

/** The daemon speaks another version of the protocol. */
export class VersionMismatch extends ProtocolError {}

/** The daemon did not take the connection; the message is its own. */
export class Refused extends WasessionError {}

/**
 * The connection ended. `failure` is what the daemon said about it, if anything: where its code is `stopping`,
 * what was asked was not begun, and can be asked of the next daemon.
 */
export class ConnectionClosed extends WasessionError {
  readonly failure: Failure | null;
}

/** No answer in time. What was asked may still be done: ask again for the state. */
export class RequestTimeout extends WasessionError {}

/** The daemon answered that it cannot be done. Branch on `code`; the message is for people. */
export class Failure extends WasessionError {
  readonly code: FailureCode;
  /** When it makes sense to ask again, in seconds from now. */
  readonly retryAfter: number | null;
  /** With `not_found`: how the user's last session ended, if the history knows. */
  readonly lastLogout: HistoryEntry | null;
}
