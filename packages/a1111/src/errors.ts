import { defineError } from '@mgpu/core/jobs';

/** Nothing is installed, or no checkout lies where one is configured. */
export const A1111DirMissingError = defineError<{ dir: string; problem: string }>({
  code: 'A1111_DIR_MISSING',
  message: ({ dir, problem }) => `there is no Automatic1111 in ${dir}: ${problem}`,
  hint: 'the next start of the machine installs one; or set services.a1111.dir to a checkout, the folder with launch.py',
});

/** The Python that is to run it is missing or may not be executed. */
export const A1111PythonMissingError = defineError<{ python: string; problem: string }>({
  code: 'A1111_PYTHON_MISSING',
  message: ({ python, problem }) => `the Python for Automatic1111, ${python}, ${problem}`,
  hint: 'set services.a1111.python to the Python that has its requirements, or make a venv in the checkout',
});

/** The library to preload is not there: the dynamic linker would only print a line. */
export const TcmallocMissingError = defineError<{ path: string }>({
  code: 'A1111_TCMALLOC_MISSING',
  message: ({ path }) => `services.a1111.tcmalloc names ${path}, and there is no such file`,
  hint: 'on Debian: apt-get install -y libtcmalloc-minimal4; or leave it at `auto`',
});

/** Another one answers on an instance's port. */
export const A1111ForeignProcessError = defineError<{
  instance: string;
  url: string;
  dataDir: string;
  pid?: number;
  command?: string;
}>({
  code: 'A1111_FOREIGN_PROCESS',
  message: ({ instance, url, dataDir, pid, command }) =>
    `${instance}: ${url} is answered by another Automatic1111${pid === undefined ? '' : `, process ${pid} (${command})`}, with its data in ${dataDir}`,
  hint: 'stop that one, or set services.a1111.basePort to a free range',
});

/** A file of settings that people keep is no JSON object. */
export const SettingsInvalidError = defineError<{ path: string; problem: string }>({
  code: 'A1111_SETTINGS_INVALID',
  message: ({ path, problem }) => `the settings in ${path} cannot be used: ${problem}`,
  hint: 'make it one JSON object, or remove it',
});

/** What was installed does not work: it is not used. */
export const InstallationBrokenError = defineError<{ dir: string; problem: string; lastLines: readonly string[] }>({
  code: 'A1111_INSTALLATION_BROKEN',
  message: ({ problem, lastLines }) =>
    `the new installation is not used: ${problem}${lastLines.length > 0 ? `; last words: ${lastLines.slice(-3).join(' | ')}` : ''}`,
  hint: ({ dir }) => `it lies in ${dir} and is made anew the next time; what was installed before is still in force`,
});

/** An abbreviated commit: servers look up none. */
export const RefUnclearError = defineError<{ url: string; ref: string }>({
  code: 'A1111_REF_UNCLEAR',
  message: ({ url, ref }) => `${url} has no branch or tag ${ref}, and commits are looked up only by their whole name`,
  hint: 'give all 40 digits of the commit',
});

/** No connection, or it broke. The cause has the code of the system. */
export const A1111UnreachableError = defineError<{ url: string; problem: string }>({
  code: 'A1111_UNREACHABLE',
  retryable: true,
  message: ({ url, problem }) => `Automatic1111 at ${url} cannot be reached: ${problem}`,
  hint: 'check with `mgpu status` that it runs, and look into its log',
});

/** No JSON, or JSON of another shape than the API has. */
export const A1111BadAnswerError = defineError<{ url: string; problem: string }>({
  code: 'A1111_BAD_ANSWER',
  retryable: true,
  message: ({ url, problem }) => `Automatic1111 gave an answer to ${url} that makes no sense: ${problem}`,
  hint: 'check that this is an Automatic1111 with --api and nothing in between changes its answers',
});

/** A status below 500 that is not 200. */
export const A1111RefusedError = defineError<{ request: string; status: number; answer: string }>({
  code: 'A1111_REFUSED',
  message: ({ request, status, answer }) =>
    `Automatic1111 refused ${request} with status ${status}${answer ? `: ${answer}` : ''}`,
});

/** A field of a request is not what it must be. */
export const A1111RequestInvalidError = defineError<{ request: string; problems: readonly string[] }>({
  code: 'A1111_REQUEST_INVALID',
  message: ({ request, problems }) => `Automatic1111 does not accept ${request}: ${problems.join('; ')}`,
  hint: 'correct the named fields; <engine>/docs describes them',
});

/** There is no checkpoint of that name. */
export const CheckpointUnknownError = defineError<{ name: string; known: readonly string[] }>({
  code: 'A1111_CHECKPOINT_UNKNOWN',
  message: ({ name, known }) => `the engine has no checkpoint "${name}"; it has: ${known.join(', ') || 'none'}`,
  hint: 'put it into shared/models/checkpoints and refresh the list',
});

/** A job's input has another shape than is wanted. */
export const A1111InputInvalidError = defineError<{ problems: readonly string[] }>({
  code: 'A1111_INPUT_INVALID',
  message: ({ problems }) => `the input of an a1111 job is not valid: ${problems.join('; ')}`,
  hint: 'give { txt2img: { prompt, … } } or { img2img: { prompt, … }, images: [<path>] }',
});

/** A job's picture is not on this machine, cannot be read, or is too large. */
export const A1111ImageMissingError = defineError<{ path: string; problem: string }>({
  code: 'A1111_IMAGE_MISSING',
  message: ({ path, problem }) => `the picture ${path} of an img2img job cannot be used: ${problem}`,
});

interface Exception extends Readonly<Record<string, unknown>> {
  readonly url: string;
  readonly exceptionType: string;
  readonly exceptionMessage: string;
}
const raised = ({ url, exceptionType, exceptionMessage }: Exception) =>
  `Automatic1111 at ${url} failed with ${exceptionType}: ${exceptionMessage}`;

/** It raised an exception: the same again would fail again. */
export const A1111FailedError = defineError<Exception>({
  code: 'A1111_FAILED',
  message: raised,
  hint: 'its log has the traceback',
});

/** The GPU had too little free memory: it may do another time. */
export const A1111OutOfMemoryError = defineError<Exception>({
  code: 'A1111_OUT_OF_MEMORY',
  retryable: true,
  message: raised,
  hint: 'use a smaller picture, batch or model, or --medvram among services.a1111.args',
});

/** The GPU is unusable to it: everything fails until it is restarted. */
export const A1111EngineFaultError = defineError<Exception & { fault: 'engine-fault' }>({
  code: 'A1111_ENGINE_FAULT',
  retryable: true,
  message: raised,
  hint: 'the engine cannot use its GPU any more: restart it',
});

/** No checkpoint is loaded, since there is none or it could not be. */
export const A1111NoModelError = defineError<Exception>({
  code: 'A1111_NO_MODEL',
  message: ({ url }) => `Automatic1111 at ${url} has no checkpoint loaded`,
  hint: 'put one into shared/models/checkpoints; its log says why one could not be loaded',
});

/** The engine went away with a job and did not come back in time. */
export const A1111EngineLostError = defineError<{
  engine: string;
  waitedMs: number;
  /** `engine-fault` when it had begun with the job. */
  fault: 'retryable' | 'engine-fault';
}>({
  code: 'A1111_ENGINE_LOST',
  retryable: true,
  message: ({ engine, waitedMs }) =>
    `${engine}: went away with a job and did not come back within ${Math.round(waitedMs / 1000)} s`,
  hint: 'look into its log for why it ended',
});

/** The engine died of the same job more than once. */
export const A1111JobKillsEngineError = defineError<{ engine: string; deaths: number }>({
  code: 'A1111_JOB_KILLS_ENGINE',
  message: ({ engine, deaths }) =>
    `${engine}: ended ${deaths} times while it ran this job; it is not given to it again`,
  hint: "look into the engine's log for what it died of",
});

/** A job was interrupted, and not by a cancel of it. */
export const A1111InterruptedError = defineError<{ engine: string }>({
  code: 'A1111_INTERRUPTED',
  message: ({ engine }) => `${engine}: somebody else interrupted the job`,
  hint: 'submit it again if that was not meant',
});
