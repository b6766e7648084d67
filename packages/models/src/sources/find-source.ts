import type { Accounts, ModelsConfig } from '../config.ts';
import { SyncSourceError, UrlRefusedError } from '../errors.ts';
import { azureContainer } from './azure.ts';
import { googleBucket } from './google.ts';
import { s3Bucket } from './s3.ts';
import { type Bucket, plainAddress, type Source } from './source.ts';
import { civitaiSource, hubSource, webSource } from './web.ts';

export interface SourceOptions {
  readonly accounts: Accounts;
  /** A checksum makes up for a connection that nobody vouches for. */
  readonly hasChecksum: boolean;
}

/** The source that an address means. Throws `MODELS_URL`. */
export function findSource(text: string, { accounts, hasChecksum }: SourceOptions): Source {
  if (!URL.canParse(text)) throw new UrlRefusedError({ url: text, problem: 'it is no address' });
  const url = new URL(text);
  const refuse = (problem: string) => new UrlRefusedError({ url: plainUrl(url), problem });
  if (url.username || url.password) throw refuse('it carries credentials; give them as the variables of the host');
  switch (url.protocol) {
    case 'hf:':
      return hubSource(hubFile(url, refuse), accounts.huggingFace);
    case 'civitai:':
      return civitaiSource(
        digits(url.host || url.pathname.replace(/^\/+/, ''), refuse),
        url.searchParams,
        accounts.civitai,
      );
    case 's3:':
      return objectIn(url, refuse, (name) => s3Bucket(name, accounts.s3));
    case 'gs:':
      return objectIn(url, refuse, (name) => googleBucket(name, accounts.google));
    case 'az:':
      return objectIn(url, refuse, (name) => azureContainer(name, accounts.azure));
    case 'http:':
      if (!hasChecksum && !isLoopback(url))
        throw refuse('plain http needs a SHA-256, anybody could change it on its way');
      return webAddress(url, accounts);
    case 'https:':
      return webAddress(url, accounts);
    default:
      throw refuse(`${url.protocol} is nothing that is understood`);
  }
}

/** The bucket that a configuration names. Throws `MODELS_SYNC_SOURCE`. */
export function findBucket({ sync, testMode, accounts }: Pick<ModelsConfig, 'sync' | 'testMode' | 'accounts'>): Bucket {
  const { provider, container, testContainer } = sync;
  if (provider === undefined) throw new SyncSourceError({ problem: 'no provider is named' });
  const name = testMode ? testContainer : container;
  if (name === undefined)
    throw new SyncSourceError({ problem: `no ${testMode ? 'test container' : 'container'} is named` });
  if (provider === 'aws') return s3Bucket(name, accounts.s3);
  return provider === 'google' ? googleBucket(name, accounts.google) : azureContainer(name, accounts.azure);
}

const plainUrl = (url: URL) => (url.protocol.startsWith('http') ? plainAddress(url) : url.href.replace(/\?.*$/s, ''));
const isLoopback = ({ hostname }: URL) => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);

type Refuse = (problem: string) => Error;

/** Pages of Hugging Face and Civitai are what they show. */
function webAddress(url: URL, accounts: Accounts): Source {
  const isAt = (endpoint: string) => new URL(endpoint).origin === url.origin;
  if (isAt(accounts.huggingFace.endpoint)) {
    const [, repository, revision, path] =
      /^\/([^/]+\/[^/]+)\/(?:resolve|blob)\/([^/]+)\/(.+)$/.exec(url.pathname) ?? [];
    if (repository && revision && path) {
      const file = { repository, revision: decodeURIComponent(revision), path: decodeURIComponent(path) };
      return hubSource(file, accounts.huggingFace);
    }
  }
  if (isAt(accounts.civitai.endpoint)) {
    const [, direct] = /^\/api\/download\/models\/(\d+)$/.exec(url.pathname) ?? [];
    const version = direct ?? (/^\/models\/\d+/.test(url.pathname) ? url.searchParams.get('modelVersionId') : null);
    if (version) return civitaiSource(version, url.searchParams, accounts.civitai);
  }
  return webSource(url);
}

/** `hf://owner/name[@revision]/path/of/file`. */
function hubFile({ host, pathname }: URL, refuse: Refuse) {
  const [, name, revision = 'main', path] = /^\/([^/@]+)(?:@([^/]+))?\/(.+)$/.exec(pathname) ?? [];
  if (!host || !name || !path) throw refuse('it is not of the form hf://owner/name[@revision]/file');
  return { repository: `${host}/${name}`, revision: decodeURIComponent(revision), path: decodeURIComponent(path) };
}

function digits(text: string, refuse: Refuse): string {
  if (!/^\d+$/.test(text)) throw refuse('it is not of the form civitai://<number of the version>');
  return text;
}

function objectIn({ host, pathname }: URL, refuse: Refuse, open: (name: string) => Bucket): Source {
  const key = decodeURIComponent(pathname.replace(/^\//, ''));
  if (!host || key === '') throw refuse('it is not of the form scheme://bucket/key');
  return open(host).source(key);
}
