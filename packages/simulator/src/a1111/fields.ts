import { type FieldProblem, ValidationError } from './failure.ts';

type FieldType = 'int' | 'float' | 'str' | 'bool' | 'list' | 'dict';
type Field = readonly [type: FieldType, byDefault: unknown];

/** What both kinds of jobs take, with pydantic's types and the program's defaults. */
const common: Readonly<Record<string, Field>> = {
  prompt: ['str', ''],
  negative_prompt: ['str', ''],
  styles: ['list', null],
  seed: ['int', -1],
  subseed: ['int', -1],
  subseed_strength: ['float', 0],
  seed_resize_from_h: ['int', -1],
  seed_resize_from_w: ['int', -1],
  sampler_name: ['str', null],
  scheduler: ['str', null],
  batch_size: ['int', 1],
  n_iter: ['int', 1],
  steps: ['int', 50],
  cfg_scale: ['float', 7],
  width: ['int', 512],
  height: ['int', 512],
  restore_faces: ['bool', null],
  tiling: ['bool', null],
  do_not_save_samples: ['bool', false],
  do_not_save_grid: ['bool', false],
  eta: ['float', null],
  denoising_strength: ['float', 0.75],
  override_settings: ['dict', null],
  override_settings_restore_afterwards: ['bool', true],
  refiner_checkpoint: ['str', null],
  refiner_switch_at: ['float', null],
  disable_extra_networks: ['bool', false],
  firstpass_image: ['str', null],
  comments: ['dict', null],
  force_task_id: ['str', null],
  sampler_index: ['str', 'Euler'],
  script_name: ['str', null],
  script_args: ['list', []],
  send_images: ['bool', true],
  save_images: ['bool', false],
  alwayson_scripts: ['dict', {}],
  infotext: ['str', null],
};

export const txt2imgFields: Readonly<Record<string, Field>> = {
  ...common,
  enable_hr: ['bool', false],
  firstphase_width: ['int', 0],
  firstphase_height: ['int', 0],
  hr_scale: ['float', 2],
  hr_upscaler: ['str', null],
  hr_second_pass_steps: ['int', 0],
  hr_resize_x: ['int', 0],
  hr_resize_y: ['int', 0],
};

export const extrasFields: Readonly<Record<string, Field>> = {
  image: ['str', ''],
  resize_mode: ['int', 0],
  upscaling_resize: ['float', 2],
  upscaling_resize_w: ['int', 512],
  upscaling_resize_h: ['int', 512],
  upscaler_1: ['str', 'None'],
  upscaler_2: ['str', 'None'],
};

export const img2imgFields: Readonly<Record<string, Field>> = {
  ...common,
  init_images: ['list', null],
  resize_mode: ['int', 0],
  image_cfg_scale: ['float', null],
  mask: ['str', null],
  mask_blur: ['int', null],
  mask_round: ['bool', true],
  inpainting_fill: ['int', 0],
  inpaint_full_res: ['bool', true],
  inpaint_full_res_padding: ['int', 0],
  inpainting_mask_invert: ['int', 0],
  initial_noise_multiplier: ['float', null],
  latent_mask: ['str', null],
  include_init_images: ['bool', false],
};

export type Fields = Readonly<Record<string, unknown>>;

/** pydantic 1's words, and those of pydantic 2, which Forge has. */
const words: Readonly<Record<FieldType, readonly [one: string, oneType: string, two: string, twoType: string]>> = {
  int: ['value is not a valid integer', 'type_error.integer', 'Input should be a valid integer', 'int_type'],
  float: ['value is not a valid float', 'type_error.float', 'Input should be a valid number', 'float_type'],
  str: ['str type expected', 'type_error.str', 'Input should be a valid string', 'string_type'],
  bool: ['value could not be parsed to a boolean', 'type_error.bool', 'Input should be a valid boolean', 'bool_type'],
  list: ['value is not a valid list', 'type_error.list', 'Input should be a valid list', 'list_type'],
  dict: ['value is not a valid dict', 'type_error.dict', 'Input should be a valid dictionary', 'dict_type'],
};

const isOfType: Readonly<Record<FieldType, (value: unknown) => boolean>> = {
  int: (value) => Number.isInteger(value) || (typeof value === 'string' && /^-?\d+$/.test(value)),
  float: (value) => typeof value === 'number' || (typeof value === 'string' && value !== '' && !Number.isNaN(+value)),
  str: (value) => typeof value === 'string' || typeof value === 'number',
  bool: (value) => typeof value === 'boolean' || value === 0 || value === 1,
  list: Array.isArray,
  dict: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
};

/** A request with its defaults; what is not known is ignored. Throws ValidationError. */
export function readFields(
  body: unknown,
  fields: Readonly<Record<string, Field>>,
  flavour: 'webui' | 'forge',
): Record<string, unknown> {
  if (!isOfType.dict(body)) throw new ValidationError([problem('dict', ['body'], body, flavour)]);
  const given = body as Fields;
  const problems: FieldProblem[] = [];
  const read = Object.entries(fields).map(([name, [type, byDefault]]) => {
    const value = given[name];
    if (value === undefined || value === null) return [name, value === undefined ? byDefault : null];
    if (!isOfType[type](value)) problems.push(problem(type, ['body', name], value, flavour));
    return [name, type === 'int' || type === 'float' ? Number(value) : value];
  });
  if (problems.length > 0) throw new ValidationError(problems);
  return Object.fromEntries(read);
}

function problem(type: FieldType, loc: readonly string[], input: unknown, flavour: 'webui' | 'forge'): FieldProblem {
  const [msg, name, msg2, name2] = words[type];
  if (flavour === 'webui') return { loc, msg, type: name };
  const url = `https://errors.pydantic.dev/2.8/v/${name2}`;
  return { type: name2, loc, msg: msg2, input, url } as FieldProblem;
}
