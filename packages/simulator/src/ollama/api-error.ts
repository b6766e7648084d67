/** A request that ends with `{"error": message}` and this status, or as the last line of a stream that has begun. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export const notFound = (model: string) => new ApiError(404, `model '${model}' not found`);
