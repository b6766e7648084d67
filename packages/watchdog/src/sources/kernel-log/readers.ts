import { closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { kernelSeconds } from './kernel-event.ts';

/** A program that prints the kernel's lines as they come. */
export interface KernelLogReader {
  readonly file: string;
  /** Its arguments: to begin with what the kernel remembers, or with the next line. */
  args(from: 'remembered' | 'next'): readonly string[];
  /** For one that always begins with what the kernel remembers: the time of the newest line when this was asked. */
  readonly newestSeconds?: number;
}

/** What can read the kernel's log here, best first. */
export function kernelLogReaders(): KernelLogReader[] {
  const newestSeconds = newestRecord('/dev/kmsg');
  return [
    // Reading the device in this process would hold one of its few threads for ever.
    ...(newestSeconds === undefined ? [] : [{ file: 'cat', args: () => ['/dev/kmsg'], newestSeconds }]),
    { file: 'dmesg', args: (from) => [from === 'next' ? '--follow-new' : '--follow'] },
    {
      file: 'journalctl',
      args: (from) => [
        ...['--dmesg', '--follow', '--quiet', '--output=short-monotonic'],
        from === 'next' ? '--lines=0' : '--no-tail',
      ],
    },
  ];
}

/** Follows a file from its present end on, wherever its name goes; it need not be there yet. */
export function fileReader(path: string): KernelLogReader {
  const { size = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return { file: 'tail', args: () => [`--bytes=+${size + 1}`, '-F', path] };
}

/** Time of the newest record; undefined when none can be read (opening proves nothing; containers may fake the device). */
function newestRecord(device: string): number | undefined {
  try {
    if (!statSync(device).isCharacterDevice()) return undefined;
    const fd = openSync(device, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return lastSeconds(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined; // not there, or not for us
  }
}

/** The kernel remembers some thousand records; a storm must not hold us. */
const maxRecords = 200_000;

function lastSeconds(fd: number): number | undefined {
  const buffer = Buffer.alloc(8_192);
  let newest: number | undefined;
  for (let count = 0; count < maxRecords; count++) {
    try {
      const length = readSync(fd, buffer);
      if (length === 0) return newest;
      newest = kernelSeconds(buffer.toString('latin1', 0, length)) ?? newest;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') continue; // overwritten before it was read
      if (code === 'EAGAIN') return newest;
      throw error;
    }
  }
  return newest;
}
