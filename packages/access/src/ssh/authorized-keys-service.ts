import { BaseService, type Run, type ServiceContext, standaloneContext } from '@mgpu/core';
import type { z } from 'zod';
import { accountKeysFile } from './account-keys.ts';
import { readAuthorizedKeys } from './authorized-keys.ts';
import { sshSchema } from './config.ts';
import { updateAccountKeys } from './update-account-keys.ts';

const ownSchema = sshSchema.omit({ enabled: true, server: true });

/** Keeps public keys in the account's own authorized_keys where that is asked for, and is completed. */
export class AuthorizedKeysService extends BaseService<z.output<typeof ownSchema>> {
  constructor(options: z.input<typeof ownSchema> = {}, context: ServiceContext = standaloneContext({ kind: 'ssh' })) {
    super(ownSchema.parse(options), context);
  }

  protected override async onStart(run: Run): Promise<void> {
    const { config, context, id: instance } = this;
    const keys = await readAuthorizedKeys(config);
    run.signal.throwIfAborted();
    if (config.account) await updateAccountKeys(instance, keys, context);
    else if (keys.length > 0)
      context.log.warn(
        `${instance}: nothing is done with the public keys: neither "account" nor "server" is asked for`,
        {
          instance,
          file: accountKeysFile(context.env),
        },
      );
    run.complete();
  }
}
