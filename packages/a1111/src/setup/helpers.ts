import { isForge } from '../engine.ts';

export interface Helper {
  readonly repository: string;
  readonly ref: string;
}

const github = (path: string, ref: string): Helper => ({ repository: `https://github.com/${path}.git`, ref });

const assets = github('AUTOMATIC1111/stable-diffusion-webui-assets', '6f7db241d2f8ba7457bac5ca9753331f0c266917');
const blip = github('salesforce/BLIP', '48211a1594f1321b00f14c9f7a5b4813144b2fb9');

/** By folder below `repositories`, as `modules/launch_utils.py` of 1.10.1 has them. */
const ofWebui: Readonly<Record<string, Helper>> = {
  'stable-diffusion-webui-assets': assets,
  // The repository that upstream names, Stability-AI/stablediffusion, was taken away in December 2025.
  'stable-diffusion-stability-ai': github('w-e-w/stablediffusion', 'cf1d67a6fd5ea1aa600c4df58e5b47da45f6bdbf'),
  'generative-models': github('Stability-AI/generative-models', '45c443b316737a4ab6e40413d7794a7f5657c19f'),
  'k-diffusion': github('crowsonkb/k-diffusion', 'ab527a9a6d347f364e3d185ba6d714e22d80cb3c'),
  BLIP: blip,
};

/** As those of Forge's file of that name, June 2025. */
const ofForge: Readonly<Record<string, Helper>> = {
  'stable-diffusion-webui-assets': assets,
  huggingface_guess: github('lllyasviel/huggingface_guess', '84826248b49bb7ca754c73293299c4d4e23a548d'),
  BLIP: blip,
};

/** Those that a checkout wants when nobody names others. */
export const helpersFor = async (checkout: string): Promise<Readonly<Record<string, Helper>>> =>
  (await isForge(checkout)) ? ofForge : ofWebui;

/** How the launcher calls them in its variables. */
const variables: Readonly<Record<string, string>> = {
  'stable-diffusion-webui-assets': 'ASSETS',
  'stable-diffusion-stability-ai': 'STABLE_DIFFUSION',
  'generative-models': 'STABLE_DIFFUSION_XL',
  'k-diffusion': 'K_DIFFUSION',
  huggingface_guess: 'HUGGINGFACE_GUESS',
  BLIP: 'BLIP',
};

/** Variables by which the launcher takes these commits for the ones it wants. */
export function helperVariables(commits: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(commits).flatMap(([folder, commit]) => {
      const name = variables[folder];
      // Forge leaves a word out of one of them.
      return name === undefined ? [] : [`${name}_COMMIT_HASH`, `${name}_HASH`].map((variable) => [variable, commit]);
    }),
  );
}
