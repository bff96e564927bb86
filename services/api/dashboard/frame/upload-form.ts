import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import { AppError } from '../../../../shared/runtime/errors.ts';
import type { ApiRequest, RawBody } from '../../http/route.ts';
import { textFault } from '../../http/text-rules.ts';
import type { Messages } from '../messages/messages.ts';
import { requireOwnOrigin } from './form.ts';

/** Limits of the fields, which come before the file. */
const LIMITS = {
  fieldNameSize: 100,
  fieldSize: 1_000,
  fields: 10,
  files: 1,
  parts: 11,
  headerPairs: 20,
  headerSize: 8_192,
};

const FIELDS_MS = 15_000;

/** A form with a file, read up to the file. */
export interface UploadForm extends AsyncDisposable {
  readonly fields: URLSearchParams;
  /** Undefined when no file was chosen. Its reader limits size, pace and time. */
  readonly file: RawBody | undefined;
}

/**
 * Reads a `multipart/form-data` form sent by a page of this dashboard, with the file as its last part.
 *
 * @throws AppError `forbidden` for another origin, and the errors of the fields
 */
export async function readUploadForm(
  request: Pick<ApiRequest, 'header' | 'incoming'>,
  publicOrigin: string | undefined,
  text: Messages['frame']['problems'],
): Promise<UploadForm> {
  requireOwnOrigin(request, publicOrigin, text);
  const { incoming } = request;
  const parser = createParser(request.header('content-type') ?? '');
  const fields = new URLSearchParams();
  const { promise, resolve, reject } = Promise.withResolvers<Readable | undefined>();
  let part: Readable | undefined;
  const malformed = (message: string, cause?: unknown) => {
    const error = new AppError('malformed', message, { cause });
    reject(error);
    part?.destroy(error);
  };
  const endsEarly = (cause?: unknown) => malformed('The body ended early.', cause);
  parser.on('field', (name, value, isNameCut, isCut) => {
    if (isNameCut || isCut || textFault(name + value) !== undefined)
      malformed('A field of the form is not valid.');
    fields.append(name, value);
  });
  parser.on('file', (_name, stream, filename) => {
    part = stream;
    // An error that nobody waits for yet is thrown at the next read.
    stream.on('error', () => undefined);
    if (filename !== '' && filename !== undefined) return resolve(stream);
    stream.resume();
  });
  parser.on('finish', () => resolve(undefined));
  parser.on('error', endsEarly);
  incoming.on('close', () => (incoming.complete ? undefined : endsEarly()));
  const timer = setTimeout(
    () => reject(new AppError('timed_out', `The form did not arrive within ${FIELDS_MS / 1_000} s.`)),
    FIELDS_MS,
  );
  const end = () => {
    incoming.unpipe(parser);
  };
  incoming.pipe(parser);
  try {
    const file = await promise;
    // The headers describe the whole body. A part that ends early fails.
    return {
      fields,
      file: file && Object.assign(file, { headers: {}, complete: true }),
      async [Symbol.asyncDispose]() {
        end();
      },
    };
  } catch (error) {
    end();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function createParser(contentType: string): InstanceType<typeof Busboy> {
  if (!/^multipart\/form-data\s*;/i.test(contentType)) {
    throw new AppError('unsupported_media_type', 'Send a form, with Content-Type: multipart/form-data.');
  }
  try {
    return new Busboy({ headers: { 'content-type': contentType }, limits: LIMITS });
  } catch (cause) {
    throw new AppError('malformed', 'The body is not a form with parts.', { cause });
  }
}
