import type { Http } from '../download/http.ts';

/** How bytes are asked for. Made anew for each connection: signatures and tokens run out. */
export interface SourceRequest {
  readonly url: URL;
  /** Who we are. Sent to the origin of `url` alone, never across a redirect to another. */
  readonly credentials: Readonly<Record<string, string>>;
}

/** What a host says of a file beside its bytes. */
export interface SourceFacts {
  readonly name?: string;
  /** Bytes. */
  readonly size?: number;
  readonly sha256?: string;
}

/** Where a model comes from. */
export interface Source {
  /** For people and records: the address without secrets. */
  readonly label: string;
  /** What helps when it is not given to us, one sentence. */
  readonly needs: string;
  /** Throws `MODELS_ACCOUNT`. */
  request(): Promise<SourceRequest>;
  /** What the host has to be asked for beside the bytes. Throws as a download does. */
  ask?(http: Http, signal: AbortSignal | undefined): Promise<SourceFacts>;
  /** What the first answer to `request` says, before any redirect. */
  factsIn?(headers: Readonly<Record<string, string | undefined>>): SourceFacts;
}

/** A file in a bucket. */
export interface BucketObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
}

/** A bucket or container of one of the clouds. */
export interface Bucket {
  /** Address without secrets. */
  readonly label: string;
  /** Every object whose key begins with `prefix`. Throws as a download does. */
  list(prefix: string, http: Http, signal: AbortSignal | undefined): AsyncIterable<BucketObject>;
  source(key: string): Source;
}

/** An address without what may be secret in it. */
export function plainAddress(url: URL | string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

/** Each part of a path encoded, slashes kept. */
export const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');
