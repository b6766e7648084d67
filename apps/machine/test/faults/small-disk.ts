import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Patient } from './harness.ts';

/** Whether a small file system can be mounted here. */
export const canMount = (() => {
  const folder = mkdtempSync(join(tmpdir(), 'mgpu-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
})();

/** Gives a folder a file system of its own with so many bytes. It cannot take the head out of a file. */
export function mountSmall(patient: Patient, folder: string, bytes: number): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'none', folder]);
  patient.defer(() => execFileSync('umount', ['--lazy', folder]));
}
