import { badResponse, OneNetError } from '../onenet-error.ts';

const CERTIFICATE_CODES =
  /^(?:CERT_|CRL_|ERR_TLS_CERT|ERROR_IN_CERT|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_|INVALID_|PATH_LENGTH)/;

/**
 * Classifies an error of the transport. Its message may name hosts or quote bytes, so it is inspected but never passed
 * on.
 *
 * @param headRead Whether the response's head had been read.
 */
export function toOneNetError(error: Error, headRead: boolean): OneNetError {
  const code = 'code' in error ? String(error.code) : '';
  if (error.name === 'HTTPParserError' && !error.message.includes('Invalid EOF')) {
    return badResponse('not HTTP');
  }
  // Before the end of the head, this code means contradictory lengths; after it, a connection closed before the
  // announced length.
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' && !headRead) {
    return badResponse('length of the body');
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') return badResponse('headers too large');
  // undici has no error code for a response with status 101.
  if (error.message === 'bad upgrade') return badResponse('another protocol');
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return new OneNetError('timeout');
  return new OneNetError(CERTIFICATE_CODES.test(code) ? 'certificate' : 'connection');
}
