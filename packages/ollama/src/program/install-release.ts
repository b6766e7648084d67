import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, type Logger, lockFolder, reportError } from '@mgpu/core';
import { amount } from '../amount.ts';
import type { DownloadConfig } from '../config.ts';
import { OllamaChecksumError, OllamaDownloadError, OllamaNoChecksumError, OllamaUnpackError } from '../errors.ts';
import { download, hashFile } from './download.ts';
import { releaseProgram, releasesDir, type Surroundings } from './locate-program.ts';
import { type Architecture, architectures, checksums } from './releases.ts';
import { unpack } from './unpack.ts';

export interface InstallOptions extends Surroundings {
  readonly log: Logger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Where a release comes from and what it has to be. Throws `OLLAMA_NO_CHECKSUM`. */
export function releaseOf(
  { version, url, sha256 }: DownloadConfig,
  arch: string = process.arch,
): { readonly url: string; readonly sha256: string } {
  const expected = sha256[arch as Architecture] ?? checksums[version]?.[arch as Architecture];
  if (expected === undefined) {
    const known = Object.entries(checksums).flatMap(([each, by]) => Object.keys(by).map((on) => `${each} for ${on}`));
    throw new OllamaNoChecksumError({ version, arch, known });
  }
  const archive = `ollama-linux-${architectures[arch as Architecture]}.tar.zst`;
  return { url: `${url.replace(/\/$/, '')}/v${version}/${archive}`, sha256: expected };
}

/** Tries in a row that bring nothing, after which the download is left to the next start. */
const maxFruitless = 3;
const pauseMs = 500;
const logEveryMs = 10_000;

/**
 * Downloads a release, checks it and unpacks it below `<root>/engines/ollama/<version>`, where it is whole from the moment it has
 * that name. Nothing to do when it is there. An interrupted download is gone on with. Throws `OLLAMA_NO_CHECKSUM`,
 * `OLLAMA_DOWNLOAD_FAILED`, `OLLAMA_CHECKSUM`, `OLLAMA_UNPACK_FAILED`, `CORE_FOLDER_BUSY`, and the signal's reason.
 */
export async function installRelease(config: DownloadConfig, options: InstallOptions): Promise<string> {
  const { layout, log, signal } = options;
  const { version } = config;
  const program = releaseProgram(layout, version);
  if (existsSync(program)) return program;
  const release = releaseOf(config);
  const dir = releasesDir(layout);
  await mkdir(dir, { recursive: true });
  using _lock = await lockFolder(dir);
  if (existsSync(program)) return program; // somebody else was faster
  await removeDrafts(dir);
  const archive = join(dir, `${version}.tar.zst.part`);
  log.info(`Ollama ${version} is downloaded from ${release.url}`);
  await fetchWhole(release, archive, options);
  await placeRelease(archive, join(dir, version), signal);
  await rm(archive);
  log.info(`Ollama ${version} is installed`);
  return program;
}

async function fetchWhole(
  { url, sha256: expected }: { url: string; sha256: string },
  archive: string,
  { log, clock, env, signal }: InstallOptions,
): Promise<void> {
  let had = 0;
  let told = clock.elapsed();
  const onProgress = ({ bytes, total }: { bytes: number; total: number | undefined }) => {
    if (clock.elapsed() - told < logEveryMs) return;
    told = clock.elapsed();
    log.info(`Ollama: ${amount(bytes)}${total === undefined ? '' : ` of ${amount(total)}`}`);
  };
  for (let fruitless = 0; ; ) {
    try {
      await download({ url, file: archive, signal, env, onProgress });
      break;
    } catch (error) {
      if (!(error instanceof OllamaDownloadError)) throw error;
      fruitless = error.details.bytes > had ? 1 : fruitless + 1;
      had = error.details.bytes;
      if (fruitless >= maxFruitless || isFinal(error.details.status)) throw error;
      log.warn(`${error.message}; tried again`);
      await clock.sleep(pauseMs * fruitless, { signal });
    }
  }
  const actual = await hashFile(archive, signal);
  if (actual === expected) return;
  await rm(archive);
  throw new OllamaChecksumError({ url, expected, actual });
}

/** What a server answers once it will answer again; but too many or too slow requests pass, and so does a range it cannot give. */
const isFinal = (status = 0) => status >= 400 && status < 500 && ![408, 416, 429].includes(status);

async function placeRelease(archive: string, target: string, signal: AbortSignal): Promise<void> {
  const draft = await mkdtemp(`${target}.unpacking-`);
  try {
    await unpack(archive, draft, signal);
    if (!existsSync(join(draft, 'bin', 'ollama'))) throw new Error('there is no bin/ollama in it');
    await rename(draft, target);
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    signal.throwIfAborted();
    throw new OllamaUnpackError({ dir: target, problem: reportError(cause).message }, { cause });
  }
}

/** What somebody left who was killed while unpacking. */
async function removeDrafts(dir: string): Promise<void> {
  const drafts = (await readdir(dir)).filter((name) => name.includes('.unpacking-'));
  await Promise.all(drafts.map((name) => rm(join(dir, name), { recursive: true, force: true })));
}
