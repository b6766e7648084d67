import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { OllamaImageError } from '../errors.ts';
import type { JobImage } from './job-input.ts';

/** Bytes of one picture; models make far smaller ones of it. */
const maxBytes = 64 * 1024 * 1024;

/** Pictures as a request has them; files of this machine are read. Throws `OLLAMA_IMAGE`. */
export const readImages = (images: readonly JobImage[]): Promise<string[]> =>
  Promise.all(images.map((each) => (typeof each === 'string' ? each : readImage(each.path))));

async function readImage(path: string): Promise<string> {
  try {
    // A pipe of that name must not keep us waiting for its other end.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const facts = await file.stat();
    if (!facts.isFile()) throw new Error('it is no file');
    if (facts.size > maxBytes) throw new Error(`it has ${facts.size} bytes, over 64 MB`);
    return await file.readFile('base64');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new OllamaImageError({ path, problem: code ?? message }, { cause });
  }
}
