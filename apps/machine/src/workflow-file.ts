import { readFile } from 'node:fs/promises';
import { WorkflowUnreadableError } from './errors.ts';

/** A workflow in ComfyUI's API format; what the web page saves by default is another one and is named as such. Throws `MACHINE_WORKFLOW`. */
export async function readWorkflow(path: string): Promise<Record<string, unknown>> {
  const refuse = (problem: string, cure: string, cause?: unknown) =>
    new WorkflowUnreadableError({ path, problem, cure }, { cause });
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw refuse(missing ? 'there is no such file' : (cause as Error).message, 'check the path', cause);
  }
  let workflow: unknown;
  try {
    workflow = JSON.parse(text);
  } catch (cause) {
    throw refuse(`it is not JSON: ${(cause as Error).message}`, 'export it from ComfyUI with "Export (API)"', cause);
  }
  if (typeof workflow !== 'object' || workflow === null || Array.isArray(workflow))
    throw refuse('it is not an object of nodes', 'export it from ComfyUI with "Export (API)"');
  if ('nodes' in workflow && 'links' in workflow)
    throw refuse("it is in the web page's format, not in API format", 'export it from ComfyUI with "Export (API)"');
  const { prompt } = workflow as { prompt?: unknown };
  // A whole request body, as other tools keep it, has the graph below `prompt`.
  return (typeof prompt === 'object' && prompt !== null ? prompt : workflow) as Record<string, unknown>;
}
