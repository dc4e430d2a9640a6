export { Client } from './src/client.js';
export { Follow } from './src/follow.js';
export { socketPath } from './src/wire.js';
export {
  ConnectionClosed,
  Failure,
  NoDaemon,
  ProtocolError,
  Refused,
  RequestTimeout,
  VersionMismatch,
  WasessionError,
} from './src/errors.js';
