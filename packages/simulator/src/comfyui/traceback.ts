/** A stand-in for Python's traceback: same shape, one frame. */
export const traceback = (file: string, line: number, where: string): string[] => [
  `  File "/opt/ComfyUI/${file}", line ${line}, in ${where}\n`,
];
