// What can go wrong between a program and the daemon.

/** Every error of this package. */
export class WasessionError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No connection to the socket: no daemon there, or not for this user. */
export class NoDaemon extends WasessionError {
  constructor(path, cause) {
    super(why(path, cause), { cause });
    this.path = path;
  }
}

function why(path, cause) {
  switch (cause.code) {
    case 'ENOENT':
      return `no daemon: there is no socket ${path}. Start wasessiond, or name its socket in $WASESSIOND_SOCKET`;
    case 'ECONNREFUSED':
      return `no daemon: nobody listens on ${path}. If a wasessiond made this socket, it is gone: start it again`;
    case 'EACCES':
      return `${path}: permission denied. The socket is for root and the members of its group (wasession, where nothing else is configured)`;
    default:
      return `no daemon at ${path}: ${cause.message}`;
  }
}

/** What came is not this protocol, or does not follow it. */
export class ProtocolError extends WasessionError {}

/** The daemon speaks another version of the protocol. */
export class VersionMismatch extends ProtocolError {}

/** The daemon did not take the connection; the message is its own. */
export class Refused extends WasessionError {}

/** The connection ended. `failure` is what the daemon said about it, if anything. */
export class ConnectionClosed extends WasessionError {
  constructor(failure = null, message = undefined) {
    const said = failure ? failure.message : 'it has stopped or is starting again';
    super(message ?? `the daemon closed the connection: ${said}`);
    this.failure = failure;
  }
}

/** No answer in time. What was asked may still be done: ask again for the state. */
export class RequestTimeout extends WasessionError {
  constructor(milliseconds) {
    super(`the daemon did not answer within ${milliseconds} ms`);
  }
}

/** The daemon answered that it cannot be done. Branch on `code`; the message is for people. */
export class Failure extends WasessionError {
  constructor({ code, message, retry_after, last_logout }) {
    super(message);
    this.code = code;
    this.retryAfter = retry_after;
    this.lastLogout = last_logout;
  }
}
