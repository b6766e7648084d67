import type { Accounts } from '../config.ts';
import type { Http } from '../download/http.ts';
import { BadAnswerError } from '../errors.ts';
import { encodePath, plainAddress, type Source, type SourceFacts } from './source.ts';

/** Any address; nobody is told who we are. */
export const webSource = (url: URL): Source => ({
  label: plainAddress(url),
  needs: 'it asks for rights that a plain address cannot show; give a source with an account',
  request: async () => ({ url, credentials: {} }),
});

const bearer = (token: string | undefined): Record<string, string> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` };

export interface HubFile {
  /** `owner/name`. */
  readonly repository: string;
  readonly revision: string;
  readonly path: string;
}

/**
 * A file on Hugging Face. Protocol: huggingface_hub's `file_download.py`: `/resolve/` answers with `X-Linked-Size`, and for
 * files in LFS or Xet with their SHA-256 as `X-Linked-Etag`, before it redirects to another host.
 */
export function hubSource(
  { repository, revision, path }: HubFile,
  { token, endpoint }: Accounts['huggingFace'],
): Source {
  const base = endpoint.replace(/\/$/, '');
  const url = new URL(`${base}/${repository}/resolve/${encodeURIComponent(revision)}/${encodePath(path)}`);
  return {
    label: `hf://${repository}@${revision}/${path}`,
    needs: token
      ? 'the token in HF_TOKEN has no access to it; accept its licence on huggingface.co'
      : 'set HF_TOKEN, and accept its licence on huggingface.co where it has one',
    request: async () => ({ url, credentials: bearer(token) }),
    factsIn: (headers) => {
      const size = Number(headers['x-linked-size']);
      const [, sha256] = /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(headers['x-linked-etag'] ?? '') ?? [];
      return { ...(size > 0 ? { size } : {}), ...(sha256 === undefined ? {} : { sha256 }) };
    },
  };
}

/**
 * A version of a model on Civitai. Protocol: its REST API, `/api/v1/model-versions/<id>` for names and hashes,
 * `/api/download/models/<id>` for the bytes, which redirects to a signed address on another host.
 */
export function civitaiSource(
  version: string,
  query: URLSearchParams,
  { token, endpoint }: Accounts['civitai'],
): Source {
  const base = endpoint.replace(/\/$/, '');
  const url = new URL(`${base}/api/download/models/${version}`);
  for (const key of ['type', 'format', 'size', 'fp']) {
    const value = query.get(key);
    if (value !== null) url.searchParams.set(key, value);
  }
  const credentials = bearer(token);
  return {
    label: `civitai://${version}${url.search}`,
    needs: token ? 'the key in CIVITAI_TOKEN has no access to it' : 'set CIVITAI_TOKEN to an API key of civitai.com',
    request: async () => ({ url, credentials }),
    ask: (http, signal) =>
      askCivitai(new URL(`${base}/api/v1/model-versions/${version}`), url, { http, credentials, signal }),
  };
}

interface VersionFile {
  readonly name?: unknown;
  readonly primary?: unknown;
  readonly downloadUrl?: unknown;
  readonly hashes?: { readonly SHA256?: unknown };
}

async function askCivitai(
  about: URL,
  wanted: URL,
  { http, credentials, signal }: { http: Http; credentials: Record<string, string>; signal: AbortSignal | undefined },
): Promise<SourceFacts> {
  const needs = 'set CIVITAI_TOKEN to an API key of civitai.com';
  const { files } = (await http.json({ url: about, credentials }, { needs, signal })) as { files?: unknown };
  if (!Array.isArray(files)) {
    throw new BadAnswerError({ url: plainAddress(about), problem: 'it lists no files', mayPass: false });
  }
  const all = files as readonly VersionFile[];
  const isWanted = ({ downloadUrl }: VersionFile) =>
    typeof downloadUrl === 'string' && URL.canParse(downloadUrl) && new URL(downloadUrl).search === wanted.search;
  // The one that is meant by no choice at all is the primary one.
  const choice = wanted.search === '' ? undefined : all.find(isWanted);
  const file = choice ?? (wanted.search === '' ? (all.find(({ primary }) => primary === true) ?? all[0]) : undefined);
  const { name, hashes } = file ?? {};
  const sha256 = typeof hashes?.SHA256 === 'string' ? hashes.SHA256.toLowerCase() : undefined;
  return {
    ...(typeof name === 'string' ? { name } : {}),
    ...(sha256 !== undefined && /^[0-9a-f]{64}$/.test(sha256) ? { sha256 } : {}),
  };
}
