import type { Accounts } from '../config.ts';
import { AccountError, BadAnswerError } from '../errors.ts';
import { type Bucket, type BucketObject, encodePath, plainAddress, type SourceRequest } from './source.ts';

const needs = 'check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION, and the rights that go with them';

/**
 * A bucket of S3 or of a server compatible with it: requests are signed (Signature Version 4), or anonymous where there is
 * no account. Protocol: Amazon S3 API, GetObject and ListObjectsV2.
 */
export function s3Bucket(name: string, account: Accounts['s3']): Bucket {
  const label = `s3://${name}`;
  const base = baseUrl(name, account);
  const signed = (url: URL) => sign(url, label, account);
  return {
    label,
    async *list(prefix, http, signal) {
      const { XMLParser } = await import('fast-xml-parser');
      const parser = new XMLParser({ parseTagValue: false, isArray: (tag) => tag === 'Contents' });
      let token: string | undefined;
      do {
        const url = new URL(base);
        url.search = new URLSearchParams({
          'list-type': '2',
          'encoding-type': 'url',
          prefix,
          ...(token === undefined ? {} : { 'continuation-token': token }),
        }).toString();
        const text = await http.text(await signed(url), { needs, signal });
        const page = pageOf(parser, text, url);
        yield* page.objects;
        token = page.next;
      } while (token !== undefined);
    },
    source: (key) => ({
      label: `${label}/${key}`,
      needs,
      request: () => signed(new URL(`${base.href.replace(/\/$/, '')}/${encodePath(key)}`)),
    }),
  };
}

function baseUrl(name: string, { endpoint, region }: Accounts['s3']): URL {
  const path = encodeURIComponent(name);
  if (endpoint !== undefined) return new URL(`${endpoint.replace(/\/$/, '')}/${path}`);
  // A dot in the name of a host would be none of the certificate's.
  return name.includes('.')
    ? new URL(`https://s3.${region}.amazonaws.com/${path}`)
    : new URL(`https://${path}.s3.${region}.amazonaws.com/`);
}

async function sign(
  url: URL,
  label: string,
  { accessKeyId, secretAccessKey, sessionToken, region }: Accounts['s3'],
): Promise<SourceRequest> {
  if (accessKeyId === undefined) return { url, credentials: {} };
  if (secretAccessKey === undefined) {
    throw new AccountError({ url: label, problem: 'there is an access key and no secret', needs });
  }
  const { AwsV4Signer } = await import('aws4fetch');
  const token = sessionToken === undefined ? {} : { sessionToken };
  const signer = new AwsV4Signer({ url: url.href, accessKeyId, secretAccessKey, ...token, region, service: 's3' });
  const signed = await signer.sign();
  const credentials = Object.fromEntries([...signed.headers].filter(([header]) => header !== 'host'));
  return { url: signed.url, credentials };
}

interface Page {
  readonly objects: readonly BucketObject[];
  readonly next: string | undefined;
}

function pageOf(parser: { parse(text: string): unknown }, text: string, url: URL): Page {
  const document = parser.parse(text) as {
    ListBucketResult?: { Contents?: { Key?: string; Size?: string }[]; NextContinuationToken?: string } | string;
  };
  const result = document.ListBucketResult;
  if (result === undefined) {
    throw new BadAnswerError({ url: plainAddress(url), problem: 'it is no listing of a bucket', mayPass: false });
  }
  if (typeof result === 'string') return { objects: [], next: undefined };
  const objects = (result.Contents ?? []).map(({ Key = '', Size }) => ({
    // As in a form: a plus is a space.
    key: decodeURIComponent(Key.replaceAll('+', ' ')),
    size: Number(Size),
  }));
  return { objects, next: result.NextContinuationToken };
}
