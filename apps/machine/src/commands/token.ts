import { ensureToken, type HttpConfig, rotateToken, tokenPath } from '@mgpu/control';
import { TokenConfiguredError } from '../errors.ts';
import { loadSettings } from '../settings.ts';
import { type CommandContext, type ExitCode, exitCodes } from './command.ts';

/** Prints the token of the HTTP API, and nothing else on standard output: it is for scripts. One is made where there is none. */
export async function token(
  { output, settings }: CommandContext,
  { rotate = false }: { readonly rotate?: boolean | undefined },
): Promise<ExitCode> {
  const { config, layout } = await loadSettings(settings);
  const { auth, token: configured } = config.services.http as unknown as HttpConfig;
  if (configured !== undefined && rotate) throw new TokenConfiguredError({ key: 'services.http.token' });
  const path = configured === undefined ? tokenPath(layout) : null;
  const value = configured ?? (await (rotate ? rotateToken : ensureToken)(tokenPath(layout)));
  if (configured !== undefined) output.notice('it is the one that services.http.token configures');
  if (!auth) output.notice('services.http.auth is off: nobody is asked for it');
  output.data('Token', { token: value, path });
  output.line(value);
  return exitCodes.done;
}
