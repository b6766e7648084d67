import { InvalidArgumentError } from 'commander';
import { loadEnvironmentFile } from '../environment-file.ts';

export function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('it must be a whole number from 1');
  return value;
}

export function gpuIndex(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('it must be the index of a GPU such as 0');
  return value;
}

/** The variables of a file, for this process and all that it starts. */
export function environmentFile(file: string): string {
  try {
    loadEnvironmentFile(file, process.env);
  } catch (error) {
    throw new InvalidArgumentError(`it cannot be read: ${(error as Error).message}`);
  }
  return file;
}

export function days(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) throw new InvalidArgumentError('it must be a number of days from 0');
  return value;
}

/** `50G`, `1.5TB`, `200GiB`, or bytes. */
export function byteSize(text: string): number {
  const [, number, unit = '', binary] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim()) ?? [];
  if (number === undefined) throw new InvalidArgumentError('it must be a size such as 50G or 200GiB');
  return Math.round(Number(number) * (binary ? 1_024 : 1_000) ** ['', 'k', 'm', 'g', 't'].indexOf(unit.toLowerCase()));
}
