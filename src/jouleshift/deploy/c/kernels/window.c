/* A window that moves over the planes of an image. `row`, `kernel_row`, `down` and `first` are in elements: the
   way from a row of the image to the next, from one row of the kernel to the next, from one row of windows to the
   next, and to the first window (negative where it begins in the padding). */
struct window {
    int32_t planes, rows, columns;
    int32_t out_rows, out_columns, kernel_rows, kernel_columns;
    int32_t stride_rows, stride_columns, dilation_rows, dilation_columns;
    int32_t top, left, plane, kernel_row, down, first;
};
