import { defineService, type Finding, findingOf } from '@mgpu/core';
import { gitAccessSchema } from './config.ts';
import { readDeployKey } from './deploy-key.ts';
import { GitAccessService } from './git-access-service.ts';

const part = (number: number) => ({
  key: `deployKeyParts.${number}`,
  summary: `Part ${number} of the base64 of the deploy key`,
});

/** What Git logs in with, as part of a machine. */
export const gitAccess = defineService({
  api: 1,
  kind: 'git-access',
  summary: 'What Git logs in with: deploy key, known hosts, identity',
  scope: 'machine',
  schema: gitAccessSchema,
  env: { CUT_PK_1: part(1), CUT_PK_2: part(2), CUT_PK_3: part(3) },
  phase: 'git credentials',
  critical: false,
  create: ({ enabled: _, ...config }, context) => new GitAccessService(config, context),
  async doctor(config): Promise<readonly Finding[]> {
    try {
      const key = await readDeployKey(config);
      const hint = 'set CUT_PK_1, CUT_PK_2, … or services.git-access.deployKeyFile for private repositories';
      if (!key)
        return [{ level: 'ok', message: 'git-access: no deploy key, which public repositories do not need', hint }];
      return [{ level: 'ok', message: `git-access: the deploy key comes from ${key.source}` }];
    } catch (error) {
      return [findingOf(error, 'warning')];
    }
  },
});
