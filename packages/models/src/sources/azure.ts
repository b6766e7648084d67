import type { ContainerClient } from '@azure/storage-blob';
import type { Accounts } from '../config.ts';
import { AccountError, BadAnswerError, NotFoundError, RefusedError, UnreachableError } from '../errors.ts';
import { type Bucket, plainAddress } from './source.ts';

const needs = 'check AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN';
/** Milliseconds that an address we sign is good for: a connection is signed when it is made. */
const signedForMs = 24 * 3_600_000;

/** A container of Azure Blob Storage. Azure's library lists it and signs addresses (SAS); the bytes come as any others do. */
export function azureContainer(name: string, account: Accounts['azure']): Bucket {
  const label = `az://${name}`;
  const open = () => containerOf(name, label, account);
  return {
    label,
    async *list(prefix, _http, signal) {
      const container = await open();
      try {
        for await (const blob of container.listBlobsFlat({ prefix, ...(signal ? { abortSignal: signal } : {}) })) {
          yield { key: blob.name, size: blob.properties.contentLength ?? 0 };
        }
      } catch (error) {
        throw signal?.aborted ? signal.reason : explained(error, plainAddress(container.url));
      }
    },
    source: (key) => ({
      label: `${label}/${key}`,
      needs,
      async request() {
        const blob = (await open()).getBlobClient(key);
        if (account.accountKey === undefined || account.sasToken !== undefined) {
          return { url: new URL(blob.url), credentials: {} };
        }
        const { BlobSASPermissions } = await library();
        const permissions = BlobSASPermissions.parse('r');
        const url = await blob.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + signedForMs) });
        return { url: new URL(url), credentials: {} };
      },
    }),
  };
}

const library = () => import('@azure/storage-blob');

async function containerOf(name: string, label: string, account: Accounts['azure']): Promise<ContainerClient> {
  const { account: accountName, accountKey, sasToken, endpoint } = account;
  if (accountName === undefined && endpoint === undefined) {
    throw new AccountError({ url: label, problem: 'no storage account is named', needs });
  }
  const { BlobServiceClient, StorageSharedKeyCredential } = await library();
  const base = endpoint ?? `https://${accountName}.blob.core.windows.net`;
  const isSigned = accountKey !== undefined && sasToken === undefined;
  const url = sasToken === undefined ? base : `${base}?${sasToken.replace(/^\?/, '')}`;
  if (isSigned && accountName === undefined)
    throw new AccountError({ url: label, problem: 'a key needs an account', needs });
  const credential = isSigned ? new StorageSharedKeyCredential(accountName as string, accountKey) : undefined;
  // What may pass is tried again by us.
  return new BlobServiceClient(url, credential, { retryOptions: { maxTries: 1 } }).getContainerClient(name);
}

function explained(error: unknown, url: string): unknown {
  const { statusCode: status, code, message } = error as { statusCode?: number; code?: string; message?: string };
  if (status === 401 || status === 403) return new RefusedError({ url, status, needs }, { cause: error });
  if (status === 404) return new NotFoundError({ url, status }, { cause: error });
  if (status === undefined) return new UnreachableError({ url, problem: code ?? message ?? '' }, { cause: error });
  return new BadAnswerError(
    { url, problem: `status ${status}`, mayPass: status >= 500 || status === 429 },
    { cause: error },
  );
}
