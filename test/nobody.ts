/** Permissions do not hold root back: what must fail for want of them is done as another user. */

/** Does something as a user who may not enter the test's temporary folder. */
export async function asNobody<Result>(act: () => Promise<Result>): Promise<Result> {
  if (process.geteuid?.() !== 0) throw new Error('only root can become another user');
  process.seteuid?.(65534);
  try {
    return await act();
  } finally {
    process.seteuid?.(0);
  }
}

/** Whether `asNobody` can be used. */
export const IS_ROOT: boolean = process.geteuid?.() === 0;
