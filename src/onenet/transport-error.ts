import { badResponse, OneNetError } from '../onenet-error.ts';

const CERTIFICATE_CODES =
  /^(?:CERT_|CRL_|ERR_TLS_CERT|ERROR_IN_CERT|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_|INVALID_|PATH_LENGTH)/;

/**
 * The transport's messages name hosts and quote bytes: they decide, but go no further.
 *
 * @param headRead Whether the body had begun, or could have.
 */
export function toOneNetError(error: Error, headRead: boolean): OneNetError {
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'HTTPParserError' && !error.message.includes('Invalid EOF')) {
    return badResponse('not HTTP');
  }
  // Within a head it says that lengths contradict each other; later, that the connection was closed before the length.
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' && !headRead) {
    return badResponse('length of the body');
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return badResponse('headers too large');
  // An answer with status 101 has no code of its own.
  if (error.message === 'bad upgrade') return badResponse('another protocol');
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return new OneNetError('timeout');
  return new OneNetError(CERTIFICATE_CODES.test(code) ? 'certificate' : 'connection');
}
