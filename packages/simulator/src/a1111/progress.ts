/** The program's `shared.state`: what runs now. */
export class Progress {
  #job = '';
  #jobCount = 0;
  #jobNo = 0;
  #timestamp = '0';
  #step = 0;
  /** That of the last job stays visible. */
  #steps = 0;
  #startedAt = 0;
  #preview: string | null = null;
  skipped = false;
  interrupted = false;

  get isIdle(): boolean {
    return this.#job === '' && this.#jobCount === 0;
  }

  get timestamp(): string {
    return this.#timestamp;
  }

  /** How many batches there are is not known yet. An interrupt that came before counts no more. */
  begin(job: string): void {
    this.#job = job;
    this.#jobCount = -1;
    this.#jobNo = 0;
    this.#step = 0;
    this.#timestamp = new Date().toISOString().replaceAll(/[-:T]|\..*/g, '');
    this.#startedAt = performance.now();
    this.#preview = null;
    this.skipped = false;
    this.interrupted = false;
  }

  batches(count: number): void {
    this.#jobCount = count;
  }

  batch(number: number, { of, steps }: { of: number; steps: number }): void {
    this.#jobNo = number - 1;
    this.#step = 0;
    this.#steps = steps;
    if (of > 1) this.#job = `Batch ${number} out of ${of}`;
  }

  step(step: number): void {
    this.#step = step;
  }

  show(preview: string): void {
    this.#preview = preview;
  }

  end(): void {
    this.#job = '';
    this.#jobCount = 0;
    this.#preview = null;
  }

  report({ image }: { image: boolean }): Readonly<Record<string, unknown>> {
    const progress = this.#fraction();
    const elapsed = (performance.now() - this.#startedAt) / 1000;
    return {
      progress,
      eta_relative: progress === 0 ? 0 : elapsed / progress - elapsed,
      state: {
        skipped: this.skipped,
        interrupted: this.interrupted,
        stopping_generation: false,
        job: this.#job,
        job_count: this.#jobCount,
        job_timestamp: this.#timestamp,
        job_no: this.#jobNo,
        sampling_step: this.#step,
        sampling_steps: this.#steps,
      },
      current_image: image ? this.#preview : null,
      textinfo: null,
    };
  }

  #fraction(): number {
    if (this.isIdle) return 0;
    if (this.#jobCount <= 0) return 0.01;
    const steps = this.#steps === 0 ? 0 : this.#step / (this.#steps * this.#jobCount);
    return Math.min(1, 0.01 + this.#jobNo / this.#jobCount + steps);
  }
}
