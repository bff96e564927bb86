/** The release of this package, which `prepack` writes from the version of the whole. */
export const VERSION: string = 'development';
