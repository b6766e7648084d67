import { StartError } from '../python/start-error.ts';
import { pyRepr } from '../python/values.ts';
import { traceback } from './traceback.ts';

/** A start that ends with an exception at a line of `main.py`. */
export const uncaught = (line: number, error: string): StartError =>
  new StartError(`Traceback (most recent call last):\n${traceback('main.py', line, '<module>').join('')}${error}`);

const FILE_ERRORS: Readonly<Record<string, string>> = {
  EACCES: 'PermissionError: [Errno 13] Permission denied',
  EISDIR: 'IsADirectoryError: [Errno 21] Is a directory',
  ENOENT: 'FileNotFoundError: [Errno 2] No such file or directory',
  ENOTDIR: 'NotADirectoryError: [Errno 20] Not a directory',
};

/** What Python raises when a file or folder cannot be read; an error of another kind comes back as it is. */
export function unreadable(line: number, path: string, error: unknown): unknown {
  const name = FILE_ERRORS[(error as NodeJS.ErrnoException).code ?? ''];
  return name === undefined ? error : uncaught(line, `${name}: ${pyRepr(path)}`);
}
