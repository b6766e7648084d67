import type { A1111JobInput } from '@mgpu/a1111';
import type { ComfyUIJobInput } from '@mgpu/comfyui';
import type { OllamaJobInput } from '@mgpu/ollama';
import { demoModels } from './surroundings.ts';
import { demoWorkflow } from './workflow.ts';

export interface DemoJob {
  readonly type: string;
  readonly input: ComfyUIJobInput | A1111JobInput | OllamaJobInput;
}

/** A job for each engine of a machine with so many GPUs. */
export function demoJobs(gpus: number): readonly DemoJob[] {
  const numbers = Array.from({ length: gpus }, (_, number) => number);
  return [
    ...numbers.map((number) => ({ type: 'comfyui', input: { prompt: demoWorkflow(number) } })),
    ...numbers.map((number) => ({ type: 'a1111', input: picture(number) })),
    { type: 'ollama', input: question },
  ];
}

const picture = (number: number): A1111JobInput => ({
  txt2img: {
    prompt: `a calm machine, number ${number}`,
    seed: 42 + number,
    steps: 8,
    width: 256,
    height: 256,
    override_settings: { sd_model_checkpoint: demoModels.checkpoint },
  },
});

const question: OllamaJobInput = {
  chat: {
    model: demoModels.language,
    messages: [{ role: 'user', content: 'What makes a machine calm?' }],
    options: { num_predict: 40 },
  },
};
