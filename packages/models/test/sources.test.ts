import { createHmac, createVerify, generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bytes, openStore, outcomes, read, sendFile, serve, sha256, temporaryFolder, write } from './support.ts';

const one = bytes(20_000);
const two = bytes(30_000);
/** Keys of a predecessor's bucket, other things included. */
const objects: Record<string, Buffer> = {
  'models/checkpoints/one + ü.safetensors': one,
  'loras/flux/two.safetensors': two,
  'custom_nodes/some/thing.pt': one,
  'config_nodes.json': one,
  'loras/folder/': Buffer.alloc(0),
};
const expected = { 'models/checkpoints/one + ü.safetensors': 'pulled', 'models/loras/flux/two.safetensors': 'pulled' };

/** AWS Signature Version 4 of a GET, from Amazon's description: whether the request carries the right one. */
function isSigned(url: string, headers: Record<string, unknown>, secret: string): boolean {
  const [, keyId, date, region, signedHeaders = '', signature] =
    /Credential=(\w+)\/(\d+)\/([\w-]+)\/s3\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=(\w+)$/.exec(
      String(headers.authorization),
    ) ?? [];
  if (!keyId || !date || !region) return false;
  const { pathname, searchParams } = new URL(url, 'http://any');
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const query = [...searchParams]
    .map(([key, value]) => `${encode(key)}=${encode(value)}`)
    .toSorted()
    .join('&');
  const canonical = [
    'GET',
    pathname,
    query,
    ...signedHeaders.split(';').map((name) => `${name}:${headers[name]}`),
    '',
    signedHeaders,
    headers['x-amz-content-sha256'],
  ].join('\n');
  const toSign = [
    'AWS4-HMAC-SHA256',
    headers['x-amz-date'],
    `${date}/${region}/s3/aws4_request`,
    sha256(Buffer.from(canonical)),
  ];
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const key = [date, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return createHmac('sha256', key).update(toSign.join('\n')).digest('hex') === signature;
}

test('S3: requests are signed, listings have pages, and a sync is complete', async () => {
  const server = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://any');
    if (!isSigned(request.url ?? '', request.headers, 'se/cret')) return response.writeHead(403).end();
    if (url.searchParams.get('list-type') !== '2') {
      const content = objects[decodeURIComponent(url.pathname.replace('/shared/', ''))];
      return content ? sendFile(request, response, content) : response.writeHead(404).end();
    }
    const keys = Object.keys(objects);
    const from = Number(url.searchParams.get('continuation-token') ?? 0);
    const page = keys.slice(from, from + 2).map((key) => {
      const encoded = encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+');
      return `<Contents><Key>${encoded}</Key><Size>${objects[key]?.length}</Size></Contents>`;
    });
    const next = from + 2 < keys.length ? `<NextContinuationToken>${from + 2}</NextContinuationToken>` : '';
    response.end(`<?xml version="1.0"?><ListBucketResult>${page.join('')}${next}</ListBucketResult>`);
  });
  const account = { accessKeyId: 'AKID', secretAccessKey: 'se/cret', region: 'eu-west-1', endpoint: server.url };
  const config = { sync: { provider: 'aws', container: 'shared' }, accounts: { s3: account } } as const;
  const box = openStore(config);
  const report = await box.store.sync();
  expect(outcomes(report)).toEqual(expected);
  expect(report.bucket).toEqual({ label: 's3://shared' });
  expect(read(box.at('models/checkpoints/one + ü.safetensors')).equals(one)).toBe(true);
  expect(
    outcomes(await box.pull({ url: 's3://shared/loras/flux/two.safetensors', path: 'loras/again.safetensors' })),
  ).toEqual({
    'models/loras/again.safetensors': 'pulled',
  });
  const stranger = openStore({ ...config, accounts: { s3: { ...account, secretAccessKey: 'wrong' } } });
  expect(await stranger.store.sync()).toMatchObject({
    outcome: 'failed',
    bucket: { error: { code: 'MODELS_REFUSED' } },
  });
});

/** The service signature of a blob (version 2020-12-06 and later), from Azure's description. */
function isSasOf(blob: string, query: URLSearchParams, { account, key }: { account: string; key: string }): boolean {
  const get = (name: string) => query.get(name) ?? '';
  const fields = [
    get('sp'),
    get('st'),
    get('se'),
    `/blob/${account}/${blob}`,
    get('si'),
    get('sip'),
    get('spr'),
    get('sv'),
  ];
  const toSign = [
    ...fields,
    get('sr'),
    get('snapshot'),
    get('ses'),
    get('rscc'),
    get('rscd'),
    get('rsce'),
    get('rscl'),
    get('rsct'),
  ];
  const signature = createHmac('sha256', Buffer.from(key, 'base64')).update(toSign.join('\n')).digest('base64');
  return signature === get('sig');
}

test('Azure: blobs are listed with the key and come by signed addresses', async () => {
  const account = { account: 'acct', key: Buffer.from('a key').toString('base64') };
  const server = await serve((request, response) => {
    const url = new URL(request.url ?? '', 'http://any');
    if (url.searchParams.get('comp') === 'list') {
      if (!/^SharedKey acct:\S+$/.test(request.headers.authorization ?? '')) return response.writeHead(403).end();
      const blobs = Object.entries(objects).map(
        ([name, { length }]) =>
          `<Blob><Name>${name}</Name><Properties><Content-Length>${length}</Content-Length></Properties></Blob>`,
      );
      const text = `<?xml version="1.0"?><EnumerationResults><Blobs>${blobs.join('')}</Blobs><NextMarker/></EnumerationResults>`;
      return response.writeHead(200, { 'content-type': 'application/xml' }).end(text);
    }
    const key = decodeURIComponent(url.pathname.replace('/acct/shared/', ''));
    const content = objects[key];
    if (!isSasOf(`shared/${key}`, url.searchParams, account)) return response.writeHead(403).end();
    return content ? sendFile(request, response, content) : response.writeHead(404).end();
  });
  const azure = { account: 'acct', accountKey: account.key, endpoint: `${server.url}/acct` };
  const box = openStore({ sync: { provider: 'azure', container: 'shared' }, accounts: { azure } });
  const report = await box.store.sync();
  expect(outcomes(report)).toEqual(expected);
  expect(read(box.at('models/loras/flux/two.safetensors')).equals(two)).toBe(true);
  expect(JSON.stringify(report)).not.toContain('sig=');
  const nobody = openStore({ sync: { provider: 'azure', container: 'shared' } });
  expect(await nobody.store.sync()).toMatchObject({ bucket: { error: { code: 'MODELS_ACCOUNT' } } });
});

test('Google: a service account signs for itself, listings have pages', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const isToken = (header = '') => {
    const [head = '', body = '', signature = ''] = header.replace('Bearer ', '').split('.');
    if (!signature) return false;
    const { iss, scope } = JSON.parse(Buffer.from(body, 'base64url').toString());
    if (iss !== 'robot@x.iam' || !String(scope).includes('devstorage.read_only')) return false;
    return createVerify('RSA-SHA256').update(`${head}.${body}`).verify(publicKey, signature, 'base64url');
  };
  const server = await serve((request, response) => {
    if (!isToken(request.headers.authorization)) return response.writeHead(401).end();
    const url = new URL(request.url ?? '', 'http://any');
    const base = '/storage/v1/b/shared/o';
    if (url.pathname !== base) {
      const content = objects[decodeURIComponent(url.pathname.replace(`${base}/`, ''))];
      return content && url.searchParams.get('alt') === 'media'
        ? sendFile(request, response, content)
        : response.writeHead(404).end();
    }
    const keys = Object.keys(objects);
    const from = Number(url.searchParams.get('pageToken') ?? 0);
    const items = keys.slice(from, from + 3).map((name) => ({ name, size: String(objects[name]?.length) }));
    response.end(JSON.stringify({ items, ...(from + 3 < keys.length ? { nextPageToken: String(from + 3) } : {}) }));
  });
  const keyFile = write(
    join(temporaryFolder(), 'key.json'),
    JSON.stringify({
      type: 'service_account',
      client_email: 'robot@x.iam',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }),
  );
  const accounts = { google: { keyFile, endpoint: server.url } };
  const box = openStore({ sync: { provider: 'google', container: 'shared' }, accounts });
  expect(outcomes(await box.store.sync())).toEqual(expected);
  expect(read(box.at('models/checkpoints/one + ü.safetensors')).equals(one)).toBe(true);
  const empty = { google: { keyFile: write(join(temporaryFolder(), 'empty.json'), ''), endpoint: server.url } };
  const nobody = openStore({ sync: { provider: 'google', container: 'shared' }, accounts: empty });
  expect(await nobody.store.sync()).toMatchObject({ bucket: { error: { code: 'MODELS_ACCOUNT' } } });
});

test('Civitai: its API gives name and checksum, is asked again when busy, its token goes nowhere else', async () => {
  let isBusy = true;
  const bucket = await serve((request, response) => sendFile(request, response, one));
  const server = await serve((request, response) => {
    if (request.headers.authorization !== 'Bearer key') return response.writeHead(401).end();
    if (request.url === '/api/download/models/12')
      return response.writeHead(307, { location: `${bucket.url}/signed` }).end();
    if (isBusy) {
      isBusy = false;
      return response.writeHead(429, { 'retry-after': '0' }).end();
    }
    const files = [
      {
        name: 'other.ckpt',
        downloadUrl: `${server.url}/api/download/models/12?format=PickleTensor`,
        hashes: { SHA256: '1'.repeat(64) },
      },
      { name: '../../nice.safetensors', primary: true, hashes: { SHA256: sha256(one).toUpperCase() } },
    ];
    response.end(JSON.stringify({ files }));
  });
  const box = openStore({ accounts: { civitai: { token: 'key', endpoint: server.url } } });
  const report = await box.pull({ url: `${server.url}/models/3/nice?modelVersionId=12`, type: 'LORA' });
  expect(outcomes(report)).toEqual({ 'models/loras/nice.safetensors': 'pulled' });
  expect(bucket.requests[0]?.headers.authorization).toBeUndefined();
  const nobody = openStore({ accounts: { civitai: { endpoint: server.url } } });
  const refused = await nobody.pull({ url: 'civitai://12', path: 'loras/nice.safetensors' });
  expect(outcomes(refused)).toEqual({ 'models/loras/nice.safetensors': 'failed MODELS_REFUSED' });
  expect(refused.models[0]?.error?.hint).toContain('CIVITAI_TOKEN');
});

test.each([
  ['ftp://x/a.pt'],
  ['http://example.com/a.pt'],
  ['https://user:secret@example.com/a.pt'],
  ['hf://owner/name'],
  ['civitai://name'],
  ['s3://bucket'],
  ['nothing'],
])('%s is no source', async (url) => {
  const report = await openStore().pull({ url, path: 'loras/a.pt' });
  expect(outcomes(report)).toEqual({ 'models/loras/a.pt': 'failed MODELS_URL' });
  expect(JSON.stringify(report)).not.toContain('secret');
});
