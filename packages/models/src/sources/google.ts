import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { Accounts } from '../config.ts';
import { AccountError, BadAnswerError } from '../errors.ts';
import { type Bucket, plainAddress, type SourceRequest } from './source.ts';

const needs = 'check GOOGLE_APPLICATION_CREDENTIALS and the rights of the account it names';
const scope = 'https://www.googleapis.com/auth/devstorage.read_only';

/**
 * A bucket of Google Cloud Storage. Google's library makes the token; of a service account it is signed here, no server is
 * asked. Protocol: JSON API, `storage/v1/b/<bucket>/o`.
 */
export function googleBucket(name: string, { keyFile, endpoint }: Accounts['google']): Bucket {
  const label = `gs://${name}`;
  const base = `${endpoint.replace(/\/$/, '')}/storage/v1/b/${encodeURIComponent(name)}/o`;
  const tokens = tokenSource(keyFile, label);
  const request = async (url: URL): Promise<SourceRequest> => {
    const authorization = await tokens();
    return { url, credentials: authorization === undefined ? {} : { authorization } };
  };
  return {
    label,
    async *list(prefix, http, signal) {
      let page: string | undefined;
      do {
        const url = new URL(base);
        url.search = new URLSearchParams({
          prefix,
          fields: 'nextPageToken,items(name,size)',
          ...(page === undefined ? {} : { pageToken: page }),
        }).toString();
        const answer = (await http.json(await request(url), { needs, signal })) as {
          items?: { name?: unknown; size?: unknown }[];
          nextPageToken?: string;
        };
        for (const { name: key, size } of answer.items ?? []) {
          if (typeof key !== 'string' || !Number.isSafeInteger(Number(size))) {
            throw new BadAnswerError({
              url: plainAddress(url),
              problem: 'it is no listing of a bucket',
              mayPass: false,
            });
          }
          yield { key, size: Number(size) };
        }
        page = answer.nextPageToken;
      } while (page !== undefined);
    },
    source: (key) => ({
      label: `${label}/${key}`,
      needs,
      request: () => request(new URL(`${base}/${encodeURIComponent(key)}?alt=media`)),
    }),
  };
}

/** The value of `Authorization`; undefined without credentials. The library keeps a token until it runs out. */
function tokenSource(keyFile: string | undefined, label: string): () => Promise<string | undefined> {
  if (keyFile === undefined) return async () => undefined;
  let client: ReturnType<typeof openAccount> | undefined;
  return async () => {
    try {
      client ??= openAccount(keyFile);
      return (await (await client).getRequestHeaders()).get('authorization') ?? undefined;
    } catch (cause) {
      client = undefined;
      const problem = `${keyFile} gives no token: ${(cause as Error).message}`;
      throw new AccountError({ url: label, problem, needs }, { cause });
    }
  };
}

/** Kinds of credentials that name programs or servers to ask are not taken: a file must not make us run anything. */
const accountSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('service_account'), client_email: z.string(), private_key: z.string() }),
  z.object({
    type: z.literal('authorized_user'),
    client_id: z.string(),
    client_secret: z.string(),
    refresh_token: z.string(),
  }),
]);

async function openAccount(keyFile: string) {
  const { JWT, UserRefreshClient } = await import('google-auth-library');
  const parsed = accountSchema.safeParse(JSON.parse(await readFile(keyFile, 'utf8')));
  if (!parsed.success) throw new Error('it is no key of a service account, and no login of a user');
  const { data: account } = parsed;
  if (account.type === 'authorized_user') {
    const { client_id: clientId, client_secret: clientSecret, refresh_token: refreshToken } = account;
    return new UserRefreshClient({ clientId, clientSecret, refreshToken });
  }
  const client = new JWT({ email: account.client_email, key: account.private_key, scopes: [scope] });
  client.useJWTAccessWithScope = true;
  return client;
}
